'use strict'

const { CaskError } = require('./errors.js')

/** @typedef {import('./transaction.js').TransactionState} TransactionState */
/** @typedef {import('./transaction-options.js').Plan} Plan */

/**
 * Gives a transaction up when its signal is aborted or its time is over.
 * @param {TransactionState} transaction
 * @param {Plan} plan
 * @returns {() => void} ends that
 */
function limit(transaction, { signal, timeoutMs }) {
  const named = transaction.label === undefined ? {} : { label: transaction.label }
  const abort = () => transaction.giveUp(new CaskError('ERR_CASK_ABORTED', 'the signal of the transaction was aborted', { ...named, cause: signal?.reason }))
  if (signal?.aborted) {
    abort()
    return () => {}
  }
  const timer = timeoutMs > 0
    ? setTimeout(() => transaction.giveUp(new CaskError(
      'ERR_CASK_TRANSACTION_TIMEOUT',
      `the transaction has not ended within its timeoutMs of ${timeoutMs}; its locks are free, find out what its work waits for`,
      { retryable: true, ...named, heldMs: transaction.heldMs() }
    )), timeoutMs)
    : undefined
  const end = () => {
    clearTimeout(timer)
    try {
      signal?.removeEventListener('abort', abort)
    } catch {
      // A signal of somebody's own; what it does is not to keep the transaction from ending.
    }
  }
  try {
    signal?.addEventListener('abort', abort, { once: true })
  } catch (error) {
    end()
    throw error
  }
  // It may have told at once.
  if (transaction.doomedBy) end()
  return end
}

module.exports = { limit }
