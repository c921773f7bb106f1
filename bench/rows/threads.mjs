import { pairedTimesAsFast } from '../lib/figures.mjs'
import { ThreadClient } from '../lib/thread-client.mjs'
import { peers } from '../stores/index.mjs'

/** Of each thread. A multiple of what a thread takes from the shared work at a time. */
const RECORDS = 16

export default {
  name: 'threads',
  title: 'transactions of worker threads on records of their own',
  unit: 'transactions/s',
  ours: 'cask-four-threads',
  isolate: true,
  peers: ['cask-one-thread', 'cask-two-threads', 'cask-four-threads'],
  // Each thread has a V8 of its own to warm up.
  plan: ({ quick }) => quick ? { warmups: 10 } : { rounds: 41, warmups: 40 },
  async open({ peer, dir }) {
    const threads = Array.from({ length: peers[peer].threads }, (_, thread) => new ThreadClient('transact', { peer, dir, thread, records: RECORDS }))
    const all = (command, settings) => Promise.all(threads.map(thread => thread.call(command, settings)))
    const left = new Int32Array(new SharedArrayBuffer(4))
    await all('ready')
    return {
      step: RECORDS,
      async run(n) {
        left[0] = n
        await all('run', { left })
      },
      async facts() {
        await all('check')
      },
      async close() {
        for (const thread of threads) await thread.close()
      }
    }
  },
  figures: [pairedTimesAsFast('cask-one-thread', 1, 'one thread', 'cask-four-threads')]
}
