'use strict'

/**
 * Where a call was made: an object whose `stack` is put into words only when somebody reads it.
 * @typedef {{ stack?: string }} Stack
 */

/**
 * So many waiters keep their stack in each period, and of the others one in so many. A stack costs as much as a lock that changes hands: without
 * a bound, whoever hands a lock over a hundred thousand times a second would spend a third of the time on stacks that nobody reads.
 */
const STACKS_PER_PERIOD = 32
const PERIOD_MS = 10
const THEN_ONE_IN = 16

/** Of so many transactions one keeps the stack of its call, for those who ask later who holds a lock. */
const HOLDERS_ONE_IN = 64

let periodEnds = 0
let taken = 0
let untilHolder = 1

/**
 * The stack of the call that is being made.
 * @param {Function | Stack} called the function below the caller, or a stack taken before
 * @returns {Stack}
 */
function stackOf(called) {
  if (typeof called !== 'function') return called
  /** @type {Stack} */
  const stack = {}
  Error.captureStackTrace(stack, called)
  return stack
}

/**
 * The stack of a call that begins to wait.
 * @param {Function | Stack} called
 * @param {number} now on the clock of `performance.now()`
 * @param {boolean} always
 * @returns {Stack | undefined}
 */
function stackOfWaiter(called, now, always) {
  if (now >= periodEnds) {
    periodEnds = now + PERIOD_MS
    taken = 0
  }
  taken++
  if (taken <= STACKS_PER_PERIOD || always || taken % THEN_ONE_IN === 0) return stackOf(called)
  return typeof called === 'function' ? undefined : called
}

/**
 * The stack of a call that begins a transaction.
 * @param {Function} called
 * @param {boolean} always
 * @returns {Stack | undefined}
 */
function stackOfHolder(called, always) {
  if (!always && --untilHolder > 0) return undefined
  if (!always) untilHolder = HOLDERS_ONE_IN
  return stackOf(called)
}

module.exports = { stackOf, stackOfWaiter, stackOfHolder }
