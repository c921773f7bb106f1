'use strict'

const { capture, wordsOf } = require('./stacks.js')

/** @typedef {import('../index.js').CaskErrorCode} CaskErrorCode */

/** What the store itself reports. `docs/errors.md` has the table of codes. */
class CaskError extends Error {
  /**
   * @param {CaskErrorCode} code
   * @param {string} message
   * @param {{ retryable?: boolean, cause?: unknown, [fact: string]: unknown }} [facts]
   */
  constructor(code, message, facts = {}) {
    const { retryable = false, cause, ...rest } = facts
    super(message, cause === undefined ? undefined : { cause })
    this.name = /** @type {'CaskError'} */ ('CaskError')
    this.code = code
    this.retryable = retryable
    Object.assign(this, rest)
  }
}

/**
 * The error that the core has described as JSON.
 * @param {string} description
 */
function fromCore(description) {
  const { code, message, ...facts } = JSON.parse(description)
  return new CaskError(code, message, facts)
}

/**
 * A mistake in an argument's type.
 * @param {string} argument
 * @param {string} message
 */
function wrongType(argument, message) {
  return Object.assign(new TypeError(message), { code: 'ERR_CASK_INVALID_ARGUMENT', retryable: false, argument })
}

/**
 * A mistake in an argument's size.
 * @param {string} argument
 * @param {string} message
 */
function outOfRange(argument, message) {
  return Object.assign(new RangeError(message), { code: 'ERR_CASK_INVALID_ARGUMENT', retryable: false, argument })
}

/**
 * Refuses what comes after `close()`.
 * @param {string | undefined} path
 */
function closedError(path) {
  return path === undefined
    ? new CaskError('ERR_CASK_CLOSED', 'the cask is closed; open it again')
    : new CaskError('ERR_CASK_CLOSED', `the cask ${path} is closed; open it again`, { path })
}

/**
 * Lets what an error says of an argument be said of the one that the caller knows.
 * @template T
 * @param {Promise<T>} work
 * @param {string} argument as the error has it
 * @param {string} known
 * @returns {Promise<T>}
 */
async function sayOf(work, argument, known) {
  try {
    return await work
  } catch (error) {
    const thrown = /** @type {any} */ (error)
    if (thrown?.code === 'ERR_CASK_INVALID_ARGUMENT' && thrown.argument === argument) thrown.argument = known
    throw error
  }
}

/**
 * Lets the stack of an error of this package begin at the caller: what lies between fills the few lines that a stack has.
 * @param {any} error
 * @param {Function} called the function below the caller
 */
function atCaller(error, called) {
  if (!isOurs(error)) return error
  const before = wordsOf(error)
  capture(error, called)
  // Nothing is left where the call is not on the stack any more.
  if (before !== undefined && !wordsOf(error)?.includes('\n    at ')) error.stack = before
  return error
}

/**
 * Whether an error is one of this package. What a caller's code has thrown may be anything, also what throws when it is looked at.
 * @param {any} error
 */
function isOurs(error) {
  try {
    const code = error?.code
    return typeof code === 'string' && code.startsWith('ERR_CASK_')
  } catch {
    return false
  }
}

module.exports = { CaskError, fromCore, wrongType, outOfRange, closedError, sayOf, atCaller }
