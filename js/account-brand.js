'use strict'

const { running } = require('./context.js')
const { keyCounts } = require('./key-counts.js')
const { tell } = require('./tell.js')
const { transact } = require('./transaction.js')
const { MIGRATION, planFor } = require('./transaction-options.js')
const { valueSizes } = require('./value-sizes.js')

/** @typedef {import('./account.js').AccountState} AccountState */
/** @typedef {import('../index.js').Account} Account */

/**
 * What an account's handle can do for this package alone.
 * @typedef {object} Inside
 * @property {<T>(work: (tx: import('../index.js').Transaction) => Promise<T>, label?: string, signal?: AbortSignal) => Promise<T>} begin
 * runs a transaction without limits of time, outside of the one around the call
 * @property {() => boolean} isInTransaction whether a transaction of the account runs around the call
 * @property {() => Map<string, number>} counts number of committed records by family
 * @property {() => AsyncGenerator<import('./value-sizes.js').Measured, void>} sizes bytes of each committed value
 * @property {() => Promise<void>} flush
 * @property {(facts: object, message: string) => void} warn tells the cask's logger
 */

/** By this accounts are recognised, and never by `instanceof`: another copy of the package may have made them. */
const BRAND = Symbol.for('baileys-cask.account')

/**
 * @param {Account} account
 * @param {AccountState} state
 */
function brandAccount(account, state) {
  /** @type {Inside['begin']} */
  const begin = (work, label, signal) => {
    state.cask.check()
    return transact(state, undefined, work, { ...planFor(label, { signal }), role: MIGRATION }, begin)
  }
  Object.defineProperty(account, BRAND, {
    value: /** @type {Inside} */ ({
      begin,
      isInTransaction: () => running(state.key) !== undefined,
      counts: () => {
        state.cask.check()
        return keyCounts(state.handle)
      },
      sizes: () => {
        state.cask.check()
        return valueSizes(state.handle)
      },
      flush: () => state.cask.flush(),
      warn: (facts, message) => tell(state.cask.logger, 'warn', facts, message)
    })
  })
}

/**
 * @param {any} account
 * @returns {Inside | undefined} nothing where it is no account
 */
function insideOf(account) {
  return typeof account === 'object' && account !== null ? account[BRAND] : undefined
}

module.exports = { brandAccount, insideOf }
