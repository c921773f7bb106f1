// One thread of a workload over a shared cask: takes a part of the plan, says when it is ready, runs, and gives back what happened.
import { parentPort } from 'node:worker_threads'
import { openCask } from 'baileys-cask'
import { Clock } from './recorder.mjs'
import { runClients } from './workload.mjs'

let cask
let prepared

const TASKS = {
  async prepare({ options, accounts, plan, clock, name }) {
    cask = await openCask(options)
    prepared = { accounts: Object.fromEntries(accounts.map(name => [name, cask.account(name)])), plan, options: { clock: new Clock(clock), name } }
  },
  async run() {
    const { history, unexpected } = await runClients(prepared.accounts, prepared.plan, prepared.options)
    await cask.close()
    // An error loses its code on the way.
    return { history, unexpected: unexpected.map(({ error, step }) => ({ error: { code: error.code, message: error.message, stack: error.stack }, step })) }
  },
}

parentPort.on('message', async ({ task, ...argument }) => {
  try {
    parentPort.postMessage({ value: await TASKS[task](argument) })
  } catch (error) {
    parentPort.postMessage({ error: error.stack })
  }
})
