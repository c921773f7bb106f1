/**
 * Contacts without a socket: a real Signal repository, with keys in memory unless others are given.
 *
 * - `makePeer(baileys, { jid, name, keys })`: `{ jid, keys, repository, bundle(), write(to, text), read(from, message) }`.
 * - `bundle()`: what `injectE2ESession` takes, with a pre-key of its own. `meet(one, peer)`: lets the repository of `one` begin a session with a peer.
 * - `writeToGroup(one, group, text)` and `readFromGroup(other, one, group, message)` are the same for groups; a message brings its sender key.
 * - `write` and `read` of what has a `repository` and a `jid`: `write(one, peer, text)` gives a message, `read(peer, one, message)` its text.
 */
import { Curve, DEFAULT_CONNECTION_CONFIG, generateSignalPubKey } from 'baileys'
import { silent } from '../../demo/conversation.mjs'
import { makeAccount } from './accounts.mjs'

export const versionOf = baileys => (baileys.DEFAULT_CONNECTION_CONFIG.makeSignalRepository.length === 1 ? '6.7.24' : '7.0.0-rc14')

/** What `makeSocket` of a version hands to `makeSignalRepository` beside the auth. */
export const restFor = (baileys, logger = silent, pnToLID = async () => []) => (versionOf(baileys) === '6.7.24' ? [] : [logger, pnToLID])

export function makePeer(baileys, { jid, name, keys: given }) {
  const { creds, keys: own } = makeAccount({ jid, name })
  const store = given?.(own) ?? own
  const keys = baileys.addTransactionCapability(store, silent, DEFAULT_CONNECTION_CONFIG.transactionOpts)
  const repository = baileys.DEFAULT_CONNECTION_CONFIG.makeSignalRepository({ creds, keys }, ...restFor(baileys))
  return { jid, creds, keys: own, repository }
}

let lastKeyId = 0

export async function bundleOf({ creds, keys }) {
  const keyId = ++lastKeyId
  const preKey = Curve.generateKeyPair()
  await keys.set({ 'pre-key': { [keyId]: { public: Buffer.from(preKey.public), private: Buffer.from(preKey.private) } } })
  const { signedPreKey, signedIdentityKey, registrationId } = creds
  return {
    registrationId,
    identityKey: generateSignalPubKey(Buffer.from(signedIdentityKey.public)),
    signedPreKey: { keyId: signedPreKey.keyId, publicKey: generateSignalPubKey(Buffer.from(signedPreKey.keyPair.public)), signature: Buffer.from(signedPreKey.signature) },
    preKey: { keyId, publicKey: generateSignalPubKey(Buffer.from(preKey.public)) },
  }
}

/** Lets one begin a session with another. */
export async function meet(one, other) {
  await one.repository.injectE2ESession({ jid: other.jid, session: await bundleOf(other) })
}

/** A message that one writes to another. */
export const write = (one, other, text) => one.repository.encryptMessage({ jid: other.jid, data: Buffer.from(text) })

/** What one reads that another has written. */
export async function read(one, other, { type, ciphertext }) {
  return Buffer.from(await one.repository.decryptMessage({ jid: other.jid, type, ciphertext })).toString()
}

/** Lets two know each other: both have sent and read. */
export async function befriend(one, other) {
  await meet(one, other)
  await read(other, one, await write(one, other, 'hello'))
  await read(one, other, await write(other, one, 'hello yourself'))
}

/** A message of one to a group, with the key to read it. */
export async function writeToGroup(one, group, text) {
  const { ciphertext, senderKeyDistributionMessage } = await one.repository.encryptGroupMessage({ group, meId: one.jid, data: Buffer.from(text) })
  return { ciphertext, item: { groupId: group, axolotlSenderKeyDistributionMessage: senderKeyDistributionMessage } }
}

export async function readFromGroup(one, author, group, { ciphertext, item }) {
  await one.repository.processSenderKeyDistributionMessage({ authorJid: author.jid, item })
  return Buffer.from(await one.repository.decryptGroupMessage({ group, authorJid: author.jid, msg: ciphertext })).toString()
}
