'use strict'

/**
 * Where a call was made: an object whose `stack` is put into words only when somebody reads it.
 * @typedef {{ stack?: string }} Stack
 */

/**
 * Waiters keep the stack of their call, as long as no more of them than this begin to wait in a millisecond, or so many at once; beyond that, one
 * in so many. A stack costs as much as a lock that changes hands: without a bound, whoever hands a lock over a hundred thousand times a second
 * would spend a third of the time on stacks that nobody reads.
 */
const STACKS_PER_MS = 1
const STACKS_AT_ONCE = 1024
const THEN_ONE_IN = 64
/**
 * A wait that ends sooner than this was none to look at, and its stack counts as so many: so those who pile up behind one that hangs all have theirs,
 * and those among whom a lock goes round have few.
 */
const SHORT_MS = 100
const SHORT_COUNTS_AS = 16
/**
 * Whether the engine keeps the frame of every call that has not returned. Bun's forgets those that ended in another call, and finds nothing
 * below one of them.
 */
const KEEPS_FRAMES = process.versions['bun'] === undefined
/** Lines of a waiter's stack: V8 asks half a microsecond for each. Those of the caller are first, where those of the package can be told. */
const LINES = KEEPS_FRAMES ? 6 : 16

/** Of so many transactions one keeps the stack of its call, for those who ask later who holds a lock. */
const HOLDERS_ONE_IN = 64

let left = STACKS_AT_ONCE
let lastWait = 0
let untilWaiter = THEN_ONE_IN
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
  capture(stack, called)
  return stack
}

/**
 * Gives an object the stack of its caller. Applications replace what takes it, also by what throws.
 * @param {object} target
 * @param {Function} called the function below the caller
 */
function capture(target, called) {
  try {
    Error.captureStackTrace(target, called)
    if (!KEEPS_FRAMES && !wordsOf(target)?.includes('\n    at ')) Error.captureStackTrace(target)
  } catch {
    // There is none, then.
  }
}

/**
 * The stack of a call that begins to wait.
 * @param {Function | Stack} called
 * @param {number} now on the clock of `performance.now()`
 * @param {boolean} always
 * @returns {Stack | undefined}
 */
function stackOfWaiter(called, now, always) {
  left = Math.min(left + (now - lastWait) * STACKS_PER_MS, STACKS_AT_ONCE)
  lastWait = now
  if (always || typeof called !== 'function') return stackOf(called)
  if (left >= 1) left--
  else if (--untilWaiter > 0) return undefined
  else untilWaiter = THEN_ONE_IN
  return shortStackOf(called)
}

/**
 * A wait has ended whose stack was kept.
 * @param {number} ms how long it took
 */
function stackWasKept(ms) {
  if (ms < SHORT_MS) left = Math.max(left - SHORT_COUNTS_AS + 1, 0)
}

/** @param {Function} called */
function shortStackOf(called) {
  const { stackTraceLimit } = Error
  // Somebody may have frozen it.
  if (!(stackTraceLimit > LINES) || !Reflect.set(Error, 'stackTraceLimit', LINES)) return stackOf(called)
  try {
    return stackOf(called)
  } finally {
    Reflect.set(Error, 'stackTraceLimit', stackTraceLimit)
  }
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

/**
 * A stack in words. Applications replace what puts it into words (`Error.prepareStackTrace`), also by what gives something else or throws.
 * @param {Stack | undefined} stack
 * @returns {string | undefined}
 */
function wordsOf(stack) {
  try {
    const words = stack?.stack
    return typeof words === 'string' ? words : undefined
  } catch {
    return undefined
  }
}

module.exports = { capture, stackOf, stackOfWaiter, stackWasKept, stackOfHolder, wordsOf }
