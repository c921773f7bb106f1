/**
 * The peers by name. Every module of this folder exports one function:
 *
 *   open(dir, options) -> { account(name) -> keys { get, set }, transactional(keys) -> keys with transaction, close() }
 *
 * `account` gives the store as a user would hand it to Baileys; `transactional` what Baileys' Signal code then works on.
 * A store may have `socketConfig(config)` as well, which makeSocket's configuration goes through first.
 */
export const peers = {
  cask: { module: 'cask.mjs', label: 'cask' },
  'cask-power': { module: 'cask.mjs', options: { durability: 'power' }, label: 'cask, power' },
  'cask-wrapped': { module: 'cask.mjs', options: { wrapped: true }, label: "cask under Baileys' wrapper" },
  'cask-with-cask': { module: 'cask.mjs', options: { socket: true }, label: 'cask under withCask' },
  'cask-sealed': { module: 'cask.mjs', options: { sealed: true }, label: 'cask, sealed' },
  'cask-passphrase': { module: 'cask.mjs', options: { sealed: true, passphrase: true }, label: 'cask, sealed with a passphrase' },
  'cask-stackless': { module: 'cask.mjs', options: { stacks: false }, label: 'cask without stacks' },
  'cask-one-thread': { module: 'cask.mjs', threads: 1, label: 'cask, one thread' },
  'cask-two-threads': { module: 'cask.mjs', threads: 2, label: 'cask, two threads' },
  'cask-four-threads': { module: 'cask.mjs', threads: 4, label: 'cask, four threads' },
  map: { module: 'map.mjs', label: 'plain Map' },
  'json-append': { module: 'json-append.mjs', label: '[limit] JSON and append' },
  'json-append-synced': { module: 'json-append.mjs', options: { synced: true }, label: '[limit] JSON and append, synced once a second' },
  'multi-file': { module: 'multi-file.mjs', label: 'multi-file' },
  'multi-file-cached': { module: 'multi-file.mjs', options: { cached: true }, label: 'multi-file + cache' },
  'sqlite-normal': { module: 'sqlite.mjs', options: { synchronous: 'NORMAL' }, label: 'better-sqlite3 NORMAL' },
  'sqlite-full': { module: 'sqlite.mjs', options: { synchronous: 'FULL' }, label: 'better-sqlite3 FULL' },
  'lmdb-flushed': { module: 'lmdb.mjs', options: { flushed: true }, label: 'lmdb flushed' },
  'lmdb-nosync': { module: 'lmdb.mjs', options: { noSync: true }, label: 'lmdb no sync' },
  'lmdb-nosync-blocking': {
    module: 'lmdb.mjs', options: { noSync: true, blocking: true }, label: 'lmdb no sync, blocking'
  },
  'lmdb-msgpack': {
    module: 'lmdb.mjs', options: { noSync: true, encoding: 'default' }, label: 'lmdb, default encoding'
  }
}

/** Opens the store of one peer in `dir`. */
export const openPeer = async (name, dir) => {
  const { module, options } = peers[name]
  const { open } = await import(new URL(module, import.meta.url))
  return open(dir, options ?? {})
}

/** The peers whose module is `module`. */
export const peersOf = module => Object.keys(peers).filter(name => peers[name].module === module)
