import { Worker } from 'node:worker_threads'
import { Calls } from './calls.mjs'

/** The main thread's end of a worker thread that runs one of the modules in `threads/`. */
export class ThreadClient {
  #worker
  #calls

  constructor(name, settings = {}) {
    this.#worker = new Worker(new URL(`threads/${name}.mjs`, import.meta.url), { workerData: settings, transferList: settings.transfer ?? [] })
    this.#calls = new Calls(message => this.#worker.postMessage(message))
    this.#worker.on('message', message => this.#calls.answered(message))
    this.#worker.on('error', error => this.#calls.end(error))
    this.#worker.on('exit', code => this.#calls.end(new Error(`a thread of the row ended with code ${code}`)))
  }

  call(command, settings) {
    return this.#calls.call(command, settings)
  }

  async close() {
    if (this.#calls.ended) return
    const ended = new Promise(resolve => this.#worker.once('exit', resolve))
    await this.call('close')
    await ended
  }
}
