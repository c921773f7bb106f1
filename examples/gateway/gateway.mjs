// Many accounts in one process: node examples/gateway/gateway.mjs folder accounts.txt [threads]
//
// accounts.txt has one name a line. Sockets are spread over worker threads, since one thread has one core for the encryption of all; every thread
// opens the same folder and shares one store with the others: one log, one cache, one writer.
import { readFileSync, realpathSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { openCask } from 'baileys-cask'
import { makeRetries } from '../reconnect.mjs'

const SHARE = new URL('share.mjs', import.meta.url)

/**
 * Starts a gateway.
 * @param {{ folder: string, accounts: string[], threads?: number, socketOptions?: object, onEvent?: (event: object) => void }} options
 *   `socketOptions` can be cloned to another thread.
 */
export async function startGateway({ folder, accounts, threads = availableParallelism(), socketOptions = {}, onEvent = event => console.log(JSON.stringify(event)) }) {
  // Held open here too, so that the store stays while threads come and go.
  const cask = await openCask({ path: folder, openWaitMs: 10_000 })
  const shares = Array.from({ length: Math.min(threads, accounts.length) }, (_, n) => accounts.filter((_, index) => index % threads === n))
  let ended = false
  /** By thread: its worker, if it runs, and what resolves when it has ended for good. */
  const lanes = shares.map(share => {
    const lane = {}
    lane.ended = new Promise(resolve => (lane.over = resolve))
    lane.retries = makeRetries(() => run(lane, share))
    lane.retries.start()
    return lane
  })

  function run(lane, share) {
    lane.worker = new Worker(SHARE, { workerData: { folder, accounts: share, socketOptions } })
    lane.worker.on('message', onEvent)
    lane.worker.on('error', error => onEvent({ what: 'thread failed', error: error.message }))
    lane.worker.on('exit', () => {
      lane.worker = undefined
      if (ended) return lane.over()
      // A thread that fails leaves no lock behind and nothing half written: another one takes its share.
      onEvent({ what: 'thread restarts', accounts: share })
      lane.retries.again()
    })
  }

  return {
    cask,
    /** Threads that run now. */
    threads: () => lanes.flatMap(({ worker }) => worker ?? []),
    /** Sends a text from an account. */
    send(account, to, text) {
      const { worker } = lanes[accounts.indexOf(account) % threads]
      if (worker) worker.postMessage({ what: 'send', account, to, text })
      else onEvent({ what: 'not sent', account, text, error: 'its thread is not there now' })
    },
    async end() {
      ended = true
      for (const lane of lanes) {
        lane.retries.stop()
        if (lane.worker) lane.worker.postMessage({ what: 'end' })
        else lane.over()
      }
      await Promise.all(lanes.map(lane => lane.ended))
      await cask.close()
    },
  }
}

if (import.meta.filename === realpathSync(process.argv[1])) {
  const [, , folder, list, threads] = process.argv
  const accounts = readFileSync(list, 'utf8').split('\n').map(name => name.trim()).filter(Boolean)
  const gateway = await startGateway({ folder, accounts, threads: threads === undefined ? undefined : Number(threads) })
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, async () => {
      await gateway.end()
      process.exit(0)
    })
  }
}
