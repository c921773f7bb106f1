import { fork } from 'node:child_process'
import { Calls } from './calls.mjs'

/** Nothing that a lane does at once takes nearly as long. */
const PATIENCE_MS = 300_000

/** The parent's end of one `lane-process.mjs`. */
export class LaneClient {
  #child
  #calls

  constructor() {
    this.#child = fork(new URL('lane-process.mjs', import.meta.url), {
      execArgv: [...process.execArgv, '--expose-gc'],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc']
    })
    this.#calls = new Calls(message => this.#child.send(message))
    this.#child.on('message', message => this.#calls.answered(message))
    this.#child.on('exit', (code, signal) => this.#calls.end(new Error(`the row's process ended with ${signal ?? `code ${code}`}`)))
  }

  /** A lane that hangs fails with its process, and the run goes on. */
  async call(command, settings) {
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), PATIENCE_MS)
    try {
      return await this.#calls.call(command, settings)
    } finally {
      clearTimeout(timer)
    }
  }

  async close() {
    if (this.#calls.ended) return
    const ended = new Promise(resolve => this.#child.once('exit', resolve))
    await this.call('exit').catch(() => {})
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 10_000)
    await ended
    clearTimeout(timer)
  }
}
