import { fork } from 'node:child_process'
import { Calls } from './calls.mjs'

/** A process of its own that opens one store: nothing of it is warm but the operating system's page cache. */
class Opener {
  #child
  #calls
  #ended

  constructor() {
    this.#child = fork(new URL('open-process.mjs', import.meta.url), { execArgv: ['--expose-gc'], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
    this.#calls = new Calls(message => this.#child.send(message))
    this.#child.on('message', message => this.#calls.answered(message))
    this.#ended = new Promise(resolve => this.#child.once('exit', (code, signal) => {
      this.#calls.end(new Error(`the process that opens ended with ${signal ?? `code ${code}`}`))
      resolve()
    }))
  }

  call = (command, settings) => this.#calls.call(command, settings)

  async close() {
    await this.call('close')
    await this.#ended
  }

  async kill() {
    this.#child.kill('SIGKILL')
    await this.#ended
  }
}

/** Opens a store in a process of its own, does something with it, and ends the process by `end`: 'close' or 'kill'. */
export const opening = async (settings, end, work = async () => {}) => {
  const opener = new Opener()
  await opener.call('ready')
  const opened = await opener.call('open', settings)
  await work(opener)
  await opener[end]()
  return opened
}
