/** A workload over one cask that several threads share. */
import { Worker } from 'node:worker_threads'
import { openCask } from 'baileys-cask'
import { makePlan } from './plan.mjs'
import { Clock, merge } from './recorder.mjs'
import { runFinal } from './workload.mjs'

class Thread {
  #worker = new Worker(new URL('./worker.mjs', import.meta.url))

  /** Has one task done at a time. */
  ask(task, argument) {
    return new Promise((resolve, reject) => {
      this.#worker.once('error', reject)
      this.#worker.once('message', ({ value, error }) => {
        this.#worker.off('error', reject)
        if (error) reject(new Error(error))
        else resolve(value)
      })
      this.#worker.postMessage({ task, ...argument })
    })
  }

  end() {
    return this.#worker.terminate()
  }
}

/** Threads that run one workload after another. */
export class Threads {
  #threads

  constructor(count) {
    this.#threads = Array.from({ length: count }, () => new Thread())
  }

  end() {
    return Promise.all(this.#threads.map(thread => thread.end()))
  }

  /**
   * @param {object} openOptions what `openCask` takes; with the same name or path in all threads it is the same store
   * @param {{ seed: number, clients?: number }} options `clients` in each thread, and what else `makePlan` takes
   */
  async runWorkload(openOptions, { seed, accounts = ['a', 'b'], clients = 3, ...options }) {
    const clock = new Clock()
    const plan = makePlan(seed, { clients: clients * this.#threads.length, ...options })
    const cask = await openCask(openOptions)
    try {
      await Promise.all(this.#threads.map((thread, i) => thread.ask('prepare', {
        options: openOptions, accounts, plan: plan.slice(i * clients, (i + 1) * clients), clock: clock.buffer, name: `${'pqrstuvw'[i]}`,
      })))
      const parts = await Promise.all(this.#threads.map(thread => thread.ask('run')))
      parts.push(await runFinal(Object.fromEntries(accounts.map(name => [name, cask.account(name)])), { clock, features: options.features }))
      return { history: merge(parts.map(({ history }) => history)), unexpected: parts.flatMap(({ unexpected }) => unexpected) }
    } finally {
      await cask.close()
    }
  }
}
