import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { afterwards } from './cleanup.mjs'
import { within } from './gate.mjs'

const MAIN = fileURLToPath(new URL('./remote-main.mjs', import.meta.url))
const PATIENCE_MS = 20_000

/** Another thread or process that runs functions of a test. They are sent as text and see only `scope` and their argument. */
class Remote {
  #post
  #calls = new Map()
  #lastCall = 0
  #said = []
  #listeners = []
  #gone = false
  ended

  constructor(emitter, post) {
    this.#post = post
    this.ready = new Promise(resolve => {
      emitter.on('message', message => {
        if (message.ready) resolve()
        else if ('said' in message) {
          this.#said.push(message.said)
          this.#listeners.forEach(look => look())
        } else {
          const { resolve, reject } = this.#calls.get(message.call)
          this.#calls.delete(message.call)
          if (message.error) reject(Object.assign(new Error(message.error.message), message.error))
          else resolve(message.value)
        }
      })
    })
    this.ended = new Promise(resolve => {
      emitter.on('exit', (code, signal) => {
        this.#gone = true
        for (const { reject } of this.#calls.values()) reject(new Error(`the other end has ended: ${signal ?? code}`))
        resolve({ code, signal })
      })
    })
    // What a worker throws arrives here before its exit; tests look at what is left behind.
    emitter.on('error', error => (this.error = error))
  }

  /** Runs a function over there. */
  run(work, argument) {
    if (this.#gone) return Promise.reject(new Error('the other end has ended'))
    const call = ++this.#lastCall
    const done = new Promise((resolve, reject) => this.#calls.set(call, { resolve, reject }))
    this.#post({ call, source: String(work), argument })
    return done
  }

  /** Opens a gate over there. */
  open(name) {
    this.#post({ open: name })
  }

  /** Waits until the other end has said something. */
  async heard(what) {
    const has = () => this.#said.includes(what)
    if (has()) return
    await within(PATIENCE_MS, `hearing ${what}`, new Promise(resolve => this.#listeners.push(() => has() && resolve())))
  }
}

/** A worker thread with the package loaded; it is terminated with the test. */
export async function startWorker(t) {
  const worker = new Worker(MAIN)
  const remote = new Remote(worker, message => worker.postMessage(message))
  remote.terminate = () => worker.terminate()
  afterwards(t, () => worker.terminate())
  await Promise.race([remote.ready, once(worker, 'exit')])
  return remote
}

/** A child process with the package loaded; it is killed with the test. */
export async function startChild(t, options = {}) {
  const child = fork(MAIN, [], { serialization: 'advanced', stdio: ['ignore', 'inherit', 'inherit', 'ipc'], ...options })
  const remote = new Remote(child, message => child.connected && child.send(message, () => {}))
  remote.pid = child.pid
  remote.kill = async (signal = 'SIGKILL') => {
    child.kill(signal)
    return remote.ended
  }
  afterwards(t, () => remote.kill())
  await Promise.race([remote.ready, once(child, 'exit')])
  return remote
}
