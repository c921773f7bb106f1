// One thread of a workload over a shared cask: takes a part of the plan, says when it is ready, runs, and gives back what happened.
import { parentPort } from 'node:worker_threads'
import { openCask } from 'baileys-cask'
import { Log } from './log.mjs'
import { Clock } from './recorder.mjs'
import { runClients } from './workload.mjs'

let cask
let prepared

const TASKS = {
  async prepare({ options, accounts, plan, clock, name, limits, log, death }) {
    cask = await openCask(options)
    const shared = new Clock(clock)
    prepared = {
      accounts: Object.fromEntries(accounts.map(name => [name, cask.account(name)])), plan,
      options: { clock: shared, name, limits, keep: log && dyingAt(death, new Log(log), shared) },
    }
  },
  async run() {
    const { history, unexpected } = await runClients(prepared.accounts, prepared.plan, prepared.options)
    await cask.close()
    // An error loses its code on the way.
    return { history, unexpected: unexpected.map(({ error, step }) => ({ error: { code: error.code, message: error.message, stack: error.stack }, step })) }
  },
}

/** Ways in which a thread ends in the middle of its work. */
const DEATHS = {
  exit: () => process.exit(),
  throw: () => setImmediate(() => { throw new Error('on purpose') }),
  terminate: () => parentPort.postMessage({ terminate: true }),
}

/** Keeps levels until an instant has come, and then ends the thread. */
function dyingAt({ at, how } = {}, log, clock) {
  let dies = how !== undefined
  return level => {
    log.keep(level)
    if (!dies || clock.now() < at) return
    dies = false
    DEATHS[how]()
  }
}

parentPort.on('message', async ({ task, ...argument }) => {
  try {
    parentPort.postMessage({ value: await TASKS[task](argument) })
  } catch (error) {
    parentPort.postMessage({ error: error.stack })
  }
})
