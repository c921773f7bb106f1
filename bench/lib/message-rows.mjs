import assert from 'node:assert/strict'
import { Curve, initAuthCreds } from 'baileys'
import { fillWithSessions } from './session-rows.mjs'

/** Messages of one conversation that are measured. */
export const MESSAGES = 60
/** Sessions with others that each account has already. */
const STORED = 2_500
const TEXT = Buffer.alloc(120, 'a message as people write them. ')

/** A Curve25519 public key with its type byte, as bundles carry it. */
const signalKey = key => Buffer.concat([Buffer.of(5), key])

/**
 * One account; `connect` gives the keys that its socket works on and its Signal repository, and `encrypt` may put what a socket
 * does around a call of the repository.
 */
export const openParty = async ({ store, name, quick, connect, encrypt = (party, call) => party.repository.encryptMessage(call) }) => {
  const creds = initAuthCreds()
  const account = await store.account(name)
  await fillWithSessions(account, quick ? STORED / 10 : STORED)
  const party = { creds, ...connect({ creds, keys: account }) }
  party.encrypt = call => encrypt(party, call)
  return party
}

/** Everything that `from` learns from WhatsApp before its first message to `to`. */
const bundleOf = async (to, id) => {
  const preKey = Curve.generateKeyPair()
  await to.keys.set({ 'pre-key': { [id]: preKey } })
  return {
    registrationId: to.creds.registrationId,
    identityKey: signalKey(to.creds.signedIdentityKey.public),
    signedPreKey: {
      keyId: to.creds.signedPreKey.keyId,
      publicKey: signalKey(to.creds.signedPreKey.keyPair.public),
      signature: to.creds.signedPreKey.signature
    },
    preKey: { keyId: id, publicKey: signalKey(preKey.public) }
  }
}

/**
 * Conversations of two parties. Each is one between addresses that never met, with its sessions in place: every round meets sessions of one
 * size. A conversation runs once, and gives the milliseconds that it took.
 */
export const makeConversations = (alice, bob) => {
  let contacts = 0
  const send = async (from, fromJid, to, toJid) => {
    const { type, ciphertext } = await from.encrypt({ jid: toJid, data: TEXT })
    return to.repository.decryptMessage({ jid: fromJid, type, ciphertext })
  }
  return async () => {
    const contact = ++contacts
    const aliceJid = `${1000000 + contact}@lid`
    const bobJid = `${2000000 + contact}@lid`
    await alice.repository.injectE2ESession({ jid: bobJid, session: await bundleOf(bob, contact) })
    assert.deepEqual(Buffer.from(await send(alice, aliceJid, bob, bobJid)), TEXT)
    assert.deepEqual(Buffer.from(await send(bob, bobJid, alice, aliceJid)), TEXT)
    return async () => {
      const started = performance.now()
      for (let i = 0; i < MESSAGES; i += 2) {
        await send(alice, aliceJid, bob, bobJid)
        await send(bob, bobJid, alice, aliceJid)
      }
      return performance.now() - started
    }
  }
}
