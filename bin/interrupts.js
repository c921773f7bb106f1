'use strict'

/** @typedef {'SIGHUP' | 'SIGINT' | 'SIGTERM'} Signal */

/** @type {readonly Signal[]} */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP']

/** What Ctrl-C and its like do to a command that runs. */
class Interrupts {
  #controller = new AbortController()
  /** The first one that has come. @type {Signal | undefined} */
  first

  /**
   * @param {object} options
   * @param {(signal: Signal) => void} options.end ends the process where it stands
   */
  constructor({ end }) {
    this.end = end
    /** Whether the first one is left to the command, which ends by itself. */
    this.isAbortable = false
    for (const signal of SIGNALS) process.on(signal, () => this.raise(signal))
  }

  get signal() {
    return this.#controller.signal
  }

  /** @param {Signal} signal */
  raise(signal) {
    const isFirst = this.first === undefined
    this.first ??= signal
    if (isFirst && this.isAbortable) this.#controller.abort(new Error(`interrupted by ${signal}`))
    else this.end(signal)
  }
}

module.exports = { Interrupts }
