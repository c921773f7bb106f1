import { MessageChannel } from 'node:worker_threads'
import { quantile } from './measure.mjs'
import { ThreadClient } from './thread-client.mjs'

/** A message from one worker thread to another that waits for it: what Node itself takes to wake a thread. */
export const messageBetweenThreads = async () => {
  const { port1, port2 } = new MessageChannel()
  const threads = [port1, port2].map(port => new ThreadClient('message', { port, transfer: [port] }))
  const all = (command, settings) => Promise.all(threads.map(thread => thread.call(command, settings)))
  return {
    step: 200,
    async run(n) {
      await all('expect', { count: n / 2 })
      const started = performance.now()
      await threads[0].call('begin')
      const tookUs = (await all('ended')).flat()
      const ms = performance.now() - started
      return { ms, values: { p50Us: quantile(tookUs, 0.5), p99Us: quantile(tookUs, 0.99) } }
    },
    async close() {
      for (const thread of threads) await thread.close()
    }
  }
}
