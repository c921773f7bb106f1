/** A workload over one cask that several threads share. */
import { Worker } from 'node:worker_threads'
import { openCask } from 'baileys-cask'
import { Log } from './log.mjs'
import { makePlan } from './plan.mjs'
import { Random } from './random.mjs'
import { Clock, merge } from './recorder.mjs'
import { until } from '../helpers/gate.mjs'
import { runFinal } from './workload.mjs'

class Thread {
  #worker = new Worker(new URL('./worker.mjs', import.meta.url))
  isOver = false

  constructor() {
    // One that is to die may do so when nobody asks it for anything.
    this.#worker.on('error', () => {})
    this.#worker.on('exit', () => (this.isOver = true))
  }

  /** Has one task done at a time. One that is to die gives nothing. */
  ask(task, { mayDie = false, ...argument } = {}) {
    const worker = this.#worker
    return new Promise((resolve, reject) => {
      const settle = (settled, value) => {
        for (const [event, listener] of Object.entries(listeners)) worker.off(event, listener)
        settled(value)
      }
      const listeners = {
        error: error => {
          if (!mayDie) settle(reject, error)
        },
        exit: () => {
          if (mayDie) settle(resolve)
          else settle(reject, new Error('a thread has ended'))
        },
        message: ({ value, error, terminate }) => {
          if (terminate) worker.terminate()
          else if (error) settle(reject, new Error(error))
          else settle(resolve, value)
        },
      }
      for (const [event, listener] of Object.entries(listeners)) worker.on(event, listener)
      if (this.isOver) settle(reject, new Error('a thread has ended'))
      else worker.postMessage({ task, ...argument })
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
   * @param {{ seed: number, clients?: number, deaths?: number, limits?: boolean }} options `clients` in each thread, and what else
   *   `planFor`, most often `makePlan`, takes; `deaths`: how many of the threads end in the middle of it
   */
  async runWorkload(openOptions, { seed, accounts = ['a', 'b'], clients = 3, deaths = 0, limits = false, planFor = makePlan, ...options }) {
    const clock = new Clock()
    const plan = planFor(seed, { clients: clients * this.#threads.length, limits, ...options })
    const dying = this.#deathsOf(seed, deaths)
    const logs = dying.map(death => death && new Log())
    const cask = await openCask(openOptions)
    const ownAccounts = Object.fromEntries(accounts.map(name => [name, cask.account(name)]))
    try {
      await Promise.all(this.#threads.map((thread, i) => thread.ask('prepare', {
        options: openOptions, accounts, plan: plan.slice(i * clients, (i + 1) * clients), clock: clock.buffer, name: `${'pqrstuvw'[i]}`,
        limits, log: logs[i]?.buffer, death: dying[i],
      })))
      const parts = await Promise.all(this.#threads.map(async (thread, i) => (
        await thread.ask('run', { mayDie: dying[i] !== undefined }) ?? { history: { kinds: {}, transactions: logs[i].transactions }, unexpected: [] }
      )))
      parts.push(await runFinal(ownAccounts, { clock, features: options.features }))
      await until('all locks are free', () => cask.locks().length === 0)
      return {
        history: merge(parts.map(({ history }) => history)), unexpected: parts.flatMap(({ unexpected }) => unexpected),
        died: await this.#replace(dying),
      }
    } finally {
      await cask.close()
    }
  }

  #deathsOf(seed, deaths) {
    const random = new Random(seed).fork()
    const dying = new Set(random.some([...this.#threads.keys()], deaths))
    return this.#threads.map((_, i) => (dying.has(i) ? { at: random.between(20, 900), how: random.pick(['exit', 'throw', 'terminate']) } : undefined))
  }

  /** Gives how many of those that were to die had done so before their work was over. */
  async #replace(dying) {
    const died = this.#threads.filter(({ isOver }) => isOver).length
    await Promise.all(this.#threads.filter((_, i) => dying[i]).map(thread => thread.end()))
    this.#threads = this.#threads.map((thread, i) => (dying[i] ? new Thread() : thread))
    return died
  }
}
