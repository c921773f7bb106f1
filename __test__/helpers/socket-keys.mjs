/**
 * The keys of a socket and of its repository, as Baileys has them after `withCask`, without a socket.
 * @param withCask that of the load of the package that is meant
 */
export function socketOn(withCask, keys) {
  const [socket, creds] = [{}, {}]
  let repository
  const config = withCask({
    auth: { creds, keys },
    makeSignalRepository: made => {
      repository = made.keys
      return {}
    },
  })
  config.makeSignalRepository({ creds, keys: socket })
  return { socket, repository }
}
