/** The parent's end of a child process in which both accounts live: start it, call it, kill it. */
import { fork } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const CHILD = fileURLToPath(new URL('./child.mjs', import.meta.url))

/** A child that owes an answer and says nothing for so long is stuck. */
const SILENT_AT_MOST_MS = 30_000

/** A call that was under way when the child was killed on purpose. */
export class Killed extends Error {}

const running = new Set()

/** Kills every child that is still there; for the parent's own end. */
export function killAll() {
  for (const child of running) child.kill('SIGKILL')
}

export class Phone {
  #child
  #calls = new Map()
  #lastCall = 0
  #stderr = ''
  #onReport
  #killed = false
  #end
  /** Resolves when the process is gone and all it ever said has been read. */
  gone

  /** `onReport` receives what the child says on its own, and this phone to answer with. */
  constructor(onReport = () => {}) {
    this.#onReport = onReport
    // Descriptor 3 carries what the child says: written synchronously there, so that a kill takes nothing back.
    this.#child = fork(CHILD, [], { stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'ipc'], serialization: 'advanced' })
    running.add(this.#child)
    this.#child.stderr.setEncoding('utf8').on('data', text => (this.#stderr = (this.#stderr + text).slice(-2000)))
    const lines = createInterface({ input: this.#child.stdio[3] }).on('line', line => this.#hear(line))
    const allRead = new Promise(resolve => lines.on('close', resolve))
    this.gone = new Promise(resolve => {
      this.#child.on('error', error => this.#fail(error))
      this.#child.on('close', async (code, signal) => {
        await allRead
        running.delete(this.#child)
        const why = `the child ended by itself (${signal ?? `exit code ${code}`}) ${this.#stderr}`
        this.#fail(this.#killed ? new Killed('killed') : new Error(why.trim()))
        resolve()
      })
    })
  }

  /** Calls a command of the child; the id of the call is handed to `onStart` before it is sent. */
  call(command, args = {}, onStart = () => {}) {
    const call = ++this.#lastCall
    onStart(call)
    if (this.#end) return Promise.reject(this.#end)
    return new Promise((resolve, reject) => {
      const error = `the child has said nothing for ${SILENT_AT_MOST_MS / 1000} s`
      const late = setTimeout(() => this.#settle(call, { error }), SILENT_AT_MOST_MS)
      this.#calls.set(call, { command, resolve, reject, late })
      this.#say({ call, command, args })
    })
  }

  /** Answers a question of the child. */
  answer(question, value) {
    this.#say({ question, value })
  }

  /** SIGKILL: no handler runs, nothing is flushed. */
  kill() {
    this.#killed = true
    this.#child.kill('SIGKILL')
    return this.gone
  }

  /** Ends a child that has nothing left to do. */
  async end() {
    this.#killed = true
    this.#say({ leave: true })
    await this.gone
  }

  #say(message) {
    // A child that is dying cannot be told anything; its `close` settles every call.
    if (this.#child.connected) this.#child.send(message, () => {})
  }

  #hear(text) {
    let line
    try {
      line = JSON.parse(text)
    } catch (error) {
      // The kill cut the last line short: what it was about to announce had not begun.
      if (this.#killed) return
      throw error
    }
    for (const { late } of this.#calls.values()) late.refresh()
    if (line.answered) this.#settle(line.answered, line)
    else this.#onReport(line, this)
  }

  #settle(call, { value, error }) {
    const waiting = this.#calls.get(call)
    if (!waiting) return
    this.#calls.delete(call)
    clearTimeout(waiting.late)
    if (error === undefined) waiting.resolve(value)
    else waiting.reject(error instanceof Error ? error : new Error(`${waiting.command}: ${error}`))
  }

  #fail(error) {
    this.#end = error
    for (const call of [...this.#calls.keys()]) this.#settle(call, { error })
  }
}
