'use strict'

const { binding, port, settled } = require('./port.js')
const { watchWait, unwatchWait } = require('./watch.js')

/** @typedef {import('./cask.js').CaskState} CaskState */

/**
 * Waits for a call that waits for locks: with its stack, so that others can see what waits, and not beyond the handle's limit.
 * @param {CaskState} cask
 * @param {(role: string) => object} describe
 * @param {Function} [called] the function below the caller
 * @returns {Promise<number>} the call's ticket
 */
async function waitForLocks(cask, describe, called = waitForLocks) {
  const stack = { stack: '' }
  // Most often nobody looks at it, and then it is not put into words.
  Error.captureStackTrace(stack, called)
  const wait = { cask, describe, since: performance.now(), reported: false, stack }
  const { lockTimeoutMs } = cask
  // A millisecond more, since the core has its own clock.
  const timer = lockTimeoutMs > 0 ? setTimeout(() => binding.expireWaits(port, cask.handle), lockTimeoutMs + 1) : undefined
  watchWait(/** @type {any} */ (wait))
  try {
    return await settled(wait)
  } catch (thrown) {
    const error = /** @type {Error} */ (thrown)
    error.stack = stack.stack.replace(/^[^\n]*/, `${error.name}: ${error.message}`)
    throw error
  } finally {
    clearTimeout(timer)
    unwatchWait(/** @type {any} */ (wait))
  }
}

module.exports = { waitForLocks }
