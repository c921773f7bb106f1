import { Curve, DEFAULT_CONNECTION_CONFIG, initAuthCreds } from 'baileys'
import { atMost } from '../lib/figures.mjs'
import { silentLogger } from '../lib/logger.mjs'
import { median } from '../lib/measure.mjs'
import { fillWithSessions } from '../lib/session-rows.mjs'
import { timed } from '../lib/timed.mjs'

const MESSAGES = 60
/** Sessions with others that each account has already. */
const STORED = 2_500
const TEXT = Buffer.alloc(120, 'a message as people write them. ')

/** A Curve25519 public key with its type byte, as bundles carry it. */
const signalKey = key => Buffer.concat([Buffer.of(5), key])

/** One account with its own Signal repository, as a socket makes it; `clock` adds up the time spent in the store. */
const openParty = async (store, name, clock, stored) => {
  const creds = initAuthCreds()
  const account = await store.account(name)
  await fillWithSessions(account, stored)
  const keys = store.transactional(timed(account, clock))
  const repository = DEFAULT_CONNECTION_CONFIG.makeSignalRepository({ creds, keys }, silentLogger, async () => undefined)
  return { creds, keys, repository }
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

/** The part of a round that is missing against the same round over a plain Map; paired, because the two lie next to each other in time. */
const shareAgainst = (peer, map) => median(peer.rounds.map((rate, round) => 1 - rate / map.rounds[round]))

export default {
  name: 'messages',
  title: 'real 1:1 messages through libsignal',
  unit: 'messages/s',
  // Each peer behind Baileys' wrapper brings its own AsyncLocalStorage, and on Node 20 and 22 each of them slows every `await` in
  // its process: in one process the peers would pay for each other.
  isolate: true,
  peers: [
    'cask', 'cask-wrapped', 'map', 'multi-file', 'multi-file-cached', 'sqlite-normal', 'sqlite-full', 'lmdb-flushed', 'lmdb-nosync'
  ],
  plan: ({ quick }) => quick ? { rounds: 3, warmups: 1 } : { rounds: 21, warmups: 5 },
  async open({ openStore, same, quick }) {
    const stored = quick ? STORED / 10 : STORED
    const store = await openStore()
    const clock = { on: false, ms: 0, calls: 0 }
    const alice = await openParty(store, 'alice', clock, stored)
    const bob = await openParty(store, 'bob', clock, stored)
    let contacts = 0
    let rounds = 0

    const send = async (from, fromJid, to, toJid) => {
      const { type, ciphertext } = await from.repository.encryptMessage({ jid: toJid, data: TEXT })
      return to.repository.decryptMessage({ jid: fromJid, type, ciphertext })
    }
    /** A conversation between addresses that never met, with its sessions in place: every round meets sessions of one size. */
    const meet = async () => {
      const contact = ++contacts
      const aliceJid = `${1000000 + contact}@lid`
      const bobJid = `${2000000 + contact}@lid`
      await alice.repository.injectE2ESession({ jid: bobJid, session: await bundleOf(bob, contact) })
      same(Buffer.from(await send(alice, aliceJid, bob, bobJid)), TEXT)
      same(Buffer.from(await send(bob, bobJid, alice, aliceJid)), TEXT)
      return async () => {
        const started = performance.now()
        for (let i = 0; i < MESSAGES; i += 2) {
          await send(alice, aliceJid, bob, bobJid)
          await send(bob, bobJid, alice, aliceJid)
        }
        return performance.now() - started
      }
    }

    return {
      fixed: true,
      async run() {
        const plain = await meet()
        const clocked = await meet()
        let ms
        let clockedMs
        const runPlain = async () => {
          ms = await plain()
        }
        const runClocked = async () => {
          Object.assign(clock, { on: true, ms: 0, calls: 0 })
          clockedMs = await clocked()
          clock.on = false
        }
        for (const part of rounds++ % 2 ? [runPlain, runClocked] : [runClocked, runPlain]) await part()
        return { ops: MESSAGES, ms, values: { storeShare: clock.ms / clockedMs, storeMsPerMessage: clock.ms / MESSAGES } }
      },
      async close() {
        alice.repository.close?.()
        bob.repository.close?.()
        await store.close()
      }
    }
  },
  describe(measured, { peers: { map } }) {
    const { storeShare, storeMsPerMessage } = measured
    const percent = share => `${(share * 100).toFixed(1)}%`
    const clocked = `the store takes ${percent(storeShare)} of the time, clocked (${(storeMsPerMessage * 1000).toFixed(0)} us a message)`
    return map && map !== measured ? `${clocked}; ${percent(shareAgainst(measured, map))} against a plain Map` : clocked
  },
  figures: [
    atMost('store <= 6% of the time, clocked', 0.06, cask => cask.storeShare, 'share'),
    atMost('store <= 6% of the time, against a plain Map', 0.06, (cask, { map }) => map && shareAgainst(cask, map), 'share')
  ]
}
