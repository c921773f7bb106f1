'use strict'

const { binding, port, enlist } = require('./port.js')
const { fromCore } = require('./errors.js')
const { MAX_MS } = require('./options.js')
const { stackOfWaiter, stackWasKept, wordsOf } = require('./stacks.js')
const { watchWait, unwatchWait } = require('./watch.js')

/** @typedef {import('./cask.js').CaskState} CaskState */
/** @typedef {import('./stacks.js').Stack} Stack */

/**
 * Whoever makes a call that waits.
 * @typedef {object} Waiter
 * @property {() => { account: string, label?: string }} describe
 * @property {(now: number) => void} waitBegan
 * @property {(now: number) => void} waitEnded
 */

/** One call that waits for locks. */
class LockWait {
  /**
   * @param {CaskState} cask
   * @param {Waiter} who
   * @param {Function | Stack} called
   * @param {(ticket: number) => void} resolve
   * @param {(error: unknown) => void} reject
   */
  constructor(cask, who, called, resolve, reject) {
    // First: whatever fails after this must not leave the number to another call.
    this.ticket = enlist(this)
    this.cask = cask
    this.who = who
    this.since = performance.now()
    this.stack = stackOfWaiter(called, this.since, cask.lockStacks)
    this.reported = false
    this.resolve = resolve
    this.reject = reject
    const { lockTimeoutMs } = cask
    // A millisecond more, since the core has its own clock; but no more than a timer can wait.
    const expiresIn = Math.min(lockTimeoutMs + 1, MAX_MS)
    this.timer = lockTimeoutMs > 0 ? setTimeout(() => binding.expireWaits(port, cask.handle), expiresIn) : undefined
    who.waitBegan(this.since)
    watchWait(this)
  }

  describe() {
    return this.who.describe()
  }

  /** @param {string | undefined} failure */
  settle(failure) {
    if (this.timer !== undefined) clearTimeout(this.timer)
    const now = performance.now()
    if (this.stack !== undefined && !this.cask.lockStacks) stackWasKept(now - this.since)
    this.who.waitEnded(now)
    unwatchWait(this)
    if (failure === undefined) this.resolve(this.ticket)
    else this.reject(this.#error(failure))
  }

  /** @param {string} failure */
  #error(failure) {
    const error = fromCore(failure)
    const lines = wordsOf(this.stack)
    if (lines) error.stack = lines.replace(/^[^\n]*/, () => `${error.name}: ${error.message}`)
    return error
  }
}

/**
 * Waits for the locks of the call before: with its stack, so that others can see what waits, and not beyond the handle's limit.
 * @param {CaskState} cask
 * @param {Waiter} who
 * @param {Function | Stack} called the function below the caller, or where that was
 * @returns {Promise<number>} the call's ticket
 */
function waitForLocks(cask, who, called) {
  return new Promise((resolve, reject) => {
    new LockWait(cask, who, called, resolve, reject)
  })
}

module.exports = { LockWait, waitForLocks }
