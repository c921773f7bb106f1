import { fork } from 'node:child_process'

/** The parent's end of one `lane-process.mjs`: calls go out one by one and come back as promises. */
export class LaneClient {
  #child
  #waiting = new Map()
  #ended
  #calls = 0

  constructor() {
    this.#child = fork(new URL('lane-process.mjs', import.meta.url), {
      execArgv: [...process.execArgv, '--expose-gc'],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc']
    })
    this.#child.on('message', ({ id, value, error }) => {
      const { resolve, reject } = this.#waiting.get(id)
      this.#waiting.delete(id)
      if (error === undefined) resolve(value)
      else reject(new Error(error))
    })
    this.#child.on('exit', (code, signal) => {
      this.#ended = new Error(`the row's process ended with ${signal ?? `code ${code}`}`)
      for (const { reject } of this.#waiting.values()) reject(this.#ended)
      this.#waiting.clear()
    })
  }

  call(command, settings = {}) {
    if (this.#ended) return Promise.reject(this.#ended)
    return new Promise((resolve, reject) => {
      const id = this.#calls++
      this.#waiting.set(id, { resolve, reject })
      this.#child.send({ id, command, ...settings })
    })
  }

  async close() {
    if (this.#ended) return
    const ended = new Promise(resolve => this.#child.once('exit', resolve))
    await this.call('exit').catch(() => {})
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 10_000)
    await ended
    clearTimeout(timer)
  }
}
