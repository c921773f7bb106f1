import { atMost } from '../lib/figures.mjs'
import { quantile } from '../lib/measure.mjs'
import { ThreadClient } from '../lib/thread-client.mjs'

/** A round is no shorter: the first hand-overs of a round are those of threads that have just been woken. */
const STEP = 100

const counters = count => new Int32Array(new SharedArrayBuffer(4 * count))
const longs = count => new BigInt64Array(new SharedArrayBuffer(8 * count))

/** Microseconds from what ended a transaction to the begin of the work of the next one, which has to be the other thread's. */
const between = (ended, { count, holders, began }) => Array.from({ length: count - 1 }, (_, i) => {
  if (holders[i] === holders[i + 1]) throw new Error('a thread got the lock again while the other one waited')
  return Number(began[i + 1] - ended[i]) / 1000
})

export default {
  name: 'hand-over',
  title: 'a contended lock, to and fro between two worker threads',
  unit: 'transactions/s',
  isolate: true,
  peers: ['cask', 'message'],
  plan: ({ quick }) => quick ? { rounds: 5, warmups: 3 } : { rounds: 41, warmups: 10 },
  async open({ peer, dir }) {
    const threads = [0, 1].map(thread => new ThreadClient('hand-over', { peer, dir, thread }))
    const all = (command, settings) => Promise.all(threads.map(thread => thread.call(command, settings)))
    await all('ready')
    await threads[0].call('fill')
    return {
      step: STEP,
      async run(n) {
        const tables = {
          count: n, next: counters(1), asked: counters(2), held: counters(2), holders: counters(n), began: longs(n), worked: longs(n), committed: longs(n)
        }
        await all('run', tables)
        const fromWork = between(tables.worked, tables)
        const fromCommit = between(tables.committed, tables)
        return {
          values: { p50Us: quantile(fromCommit, 0.5), p99Us: quantile(fromCommit, 0.99), workP50Us: quantile(fromWork, 0.5) }
        }
      },
      async close() {
        for (const thread of threads) await thread.close()
      }
    }
  },
  describe: ({ p50Us, p99Us, workP50Us }) => {
    const us = value => `${value.toFixed(1)} us`
    const text = `p50 ${us(p50Us)}, p99 ${us(p99Us)}`
    return workP50Us === undefined ? text : `from the end of a commit to the begin of the next work ${text}; from the end of the work before its commit p50 ${us(workP50Us)}`
  },
  figures: [atMost('p50 <= 60 us after the commit', 60, cask => cask.p50Us, 'microseconds')]
}
