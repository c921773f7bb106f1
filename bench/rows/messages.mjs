import { DEFAULT_CONNECTION_CONFIG } from 'baileys'
import { atMost } from '../lib/figures.mjs'
import { silentLogger } from '../lib/logger.mjs'
import { median } from '../lib/measure.mjs'
import { makeConversations, MESSAGES, openParty } from '../lib/message-rows.mjs'
import { timed } from '../lib/timed.mjs'

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
    'cask', 'cask-wrapped', 'map', 'json-append', 'multi-file', 'multi-file-cached', 'sqlite-normal', 'sqlite-full', 'lmdb-flushed', 'lmdb-nosync'
  ],
  plan: ({ quick }) => quick ? { rounds: 3, warmups: 1 } : { rounds: 21, warmups: 5 },
  async open({ openStore, quick }) {
    const store = await openStore()
    /** Adds up the time spent in the store. */
    const clock = { on: false, ms: 0, calls: 0 }
    const connect = ({ creds, keys: account }) => {
      const keys = store.transactional(timed(account, clock))
      return { keys, repository: DEFAULT_CONNECTION_CONFIG.makeSignalRepository({ creds, keys }, silentLogger, async () => undefined) }
    }
    const alice = await openParty({ store, name: 'alice', quick, connect })
    const bob = await openParty({ store, name: 'bob', quick, connect })
    const meet = makeConversations(alice, bob)
    let rounds = 0
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
