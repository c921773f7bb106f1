// One of two threads that hand one lock to and fro: each asks for it again as soon as its transaction has ended.
import { parentPort, workerData } from 'node:worker_threads'
import { openPeer } from '../../stores/index.mjs'
import { answerer } from '../calls.mjs'
import { SESSIONS, sessions } from '../data.mjs'

const PATIENCE_MS = 10_000

const { peer, dir, thread } = workerData
const other = 1 - thread
const store = await openPeer(peer, dir)
const keys = store.transactional(await store.account())
const values = await sessions()
/** One clock for all threads. */
const now = process.hrtime.bigint

parentPort.on('message', answerer({
  ready: () => {},
  fill: () => keys.set({ session: { peer: values[0] } }),
  /**
   * Fills the tables, one entry for each transaction in the order of the lock: who held it, when its work began and ended, and when its
   * commit was over. Whoever holds the lock lets the other thread ask for it first.
   */
  async run({ count, next, asked, held, holders, began, worked, committed }) {
    for (;;) {
      let mine
      const transaction = keys.transaction(async () => {
        const at = now()
        // Only who holds the lock counts on.
        mine = next[0]++
        held[thread]++
        if (mine >= count) return
        holders[mine] = thread
        began[mine] = at
        if (Atomics.wait(asked, other, held[other], PATIENCE_MS) === 'timed-out') throw new Error('the other thread does not ask')
        const found = await keys.get('session', ['peer'])
        if (!found.peer) throw new Error('the session is gone')
        await keys.set({ session: { peer: values[mine % SESSIONS] } })
        worked[mine] = now()
      }, 'peer@lid')
      // The call has asked for the lock before it returns.
      Atomics.add(asked, thread, 1)
      Atomics.notify(asked, thread)
      await transaction
      if (mine >= count) return
      committed[mine] = now()
    }
  },
  async close() {
    await store.close()
    setImmediate(() => parentPort.close())
  }
}, message => parentPort.postMessage(message)))
