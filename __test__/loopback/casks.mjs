/**
 * Sockets on casks, handed over with `withCask`.
 *
 * - `signedIn(cask, { jid, name })`: an account of the cask with creds as pairing leaves them, `{ account, auth, saveCreds }`.
 * - `openOnCask(t, { cask, person, baileys, server, ... })`: an open socket as `openSocket` gives it, with `account` beside.
 * - `handedOver(baileys, account, { pnToLID, ...config })`: what `makeSocket` makes of a config, without a connection: `{ jid, account,
 *   creds, keys, repository, warnings }`; `keys` are the socket's own. `pnToLID` is what rc14 asks the server for LIDs with.
 */
import { DEFAULT_CONNECTION_CONFIG, initAuthCreds } from 'baileys'
import { withCask } from 'baileys-cask'
import { silent } from '../../demo/conversation.mjs'
import { signIn } from './accounts.mjs'
import { restFor } from './peers.mjs'
import { openSocket } from './sockets.mjs'

export async function signedIn(cask, person) {
  const account = cask.account(person.name)
  const creds = (await account.loadCreds()) ?? signIn(initAuthCreds(), person)
  await account.saveCreds(creds)
  return { account, auth: { creds, keys: account.keys }, saveCreds: () => account.saveCreds(creds) }
}

export async function openOnCask(t, { cask, person, wrap = withCask, ...rest }) {
  const { account, auth, saveCreds } = await signedIn(cask, person)
  const client = await openSocket(t, { auth, saveCreds, wrap, ...rest })
  return Object.assign(client, { account })
}

export function handedOver(baileys, { account, auth }, { pnToLID, wrap = withCask, ...config } = {}) {
  const warnings = []
  // Baileys warns through it as well.
  const logger = { ...silent, warn: text => /withCask|inside of a transaction/.test(text) && warnings.push(text) }
  const given = wrap({ auth, logger, ...config })
  const keys = baileys.addTransactionCapability(given.auth.keys, silent, DEFAULT_CONNECTION_CONFIG.transactionOpts)
  const repository = given.makeSignalRepository({ creds: given.auth.creds, keys }, ...restFor(baileys, logger, pnToLID))
  return { jid: auth.creds.me.id, account, creds: auth.creds, keys, repository, warnings }
}
