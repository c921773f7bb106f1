'use strict'

const { insideOf } = require('../account-brand.js')
const { CaskError, wrongType } = require('../errors.js')
const { abortSignal, checkOptions, flag } = require('../options.js')

/** @typedef {import('../../index.js').Account} Account */

/** @param {string} name @param {any} value */
const isFunction = (name, value) => {
  if (typeof value !== 'function') throw wrongType(name, `${name} is a function`)
}
/** @param {any} value */
const isIterable = (value) => typeof value === 'object' && value !== null && (Symbol.iterator in value || Symbol.asyncIterator in value)

/** @type {Record<string, (name: string, value: any) => void>} */
const CHECKS = {
  onProgress: isFunction,
  dryRun: flag,
  skipFailed: flag,
  replace: flag,
  signal: abortSignal,
  families: (name, value) => {
    // Holes are passed over by `every`, however many there are.
    if (!Array.isArray(value) || value.includes(undefined) || !value.every((family) => typeof family === 'string' && family !== '')) throw wrongType(name, 'families are an array of names')
  },
  creds: (name, value) => {
    if (typeof value !== 'object' || value === null) throw wrongType(name, 'creds are an object')
  },
  names: (name, value) => {
    if (!isIterable(value)) throw wrongType(name, 'names are an array, or anything to iterate over, of strings such as \'session-123.0\'')
  },
  ids: (name, value) => {
    const fits = typeof value === 'object' && value !== null && !isIterable(value) && Object.values(value).every((ids) => isIterable(ids))
    if (!fits) throw wrongType(name, 'ids are an object of lists of ids by family')
  }
}

/**
 * @param {unknown} options
 * @param {readonly string[]} known
 */
const checkMigrationOptions = (options, known) => checkOptions(options, known, CHECKS)

/**
 * @param {unknown} folder
 * @param {string} [argument]
 */
function checkFolder(folder, argument = 'folder') {
  if (typeof folder !== 'string' || folder === '' || folder.includes('\u0000')) throw wrongType(argument, `${argument} is the path of a folder`)
}

/**
 * @param {any} account
 * @param {string} what
 * @returns {import('../account-brand.js').Inside}
 */
function checkAccount(account, what) {
  const inside = insideOf(account)
  if (!inside) throw wrongType('account', 'account is one of a cask, such as cask.account()')
  if (inside.isInTransaction()) {
    throw new CaskError('ERR_CASK_INVALID_ARGUMENT', `${what} inside a transaction of account ${account.name} would wait for it; make it outside`, { account: account.name })
  }
  return inside
}

/**
 * Ends what is under way where its signal is aborted.
 * @param {AbortSignal | undefined} signal
 * @param {string} what
 */
function checkSignal(signal, what) {
  if (signal?.aborted) throw new CaskError('ERR_CASK_ABORTED', `the signal of ${what} was aborted; run it again to complete it`, { cause: signal.reason })
}

module.exports = { checkMigrationOptions, checkFolder, checkAccount, checkSignal }
