'use strict'

const { abortSignal, milliseconds } = require('./options.js')
const { wrongType, outOfRange } = require('./errors.js')
const { FAMILY_CODES } = require('./codec/families.js')

/** @typedef {import('../index.js').TransactionOptions} TransactionOptions */

/** Most records that one `transactWith` may name. */
const MAX_RECORDS = 65_536

/** Settings of a transaction as the core reads them: which reads take locks, by code of the family, and flags. */
const ALL_READS = 0xffff
const LOCKS_AT_COMMIT = 1 << 16
const INDEPENDENT = 1 << 17
const LAST_RESORT = 1 << 18

/**
 * Reads of these families take locks.
 * @param {string[]} families
 */
function readsOf(families) {
  return families.reduce((bits, family) => bits | (1 << /** @type {number} */ (FAMILY_CODES.get(family))), 0)
}

/** Role of the transaction of an import or an export: it takes as long as it takes, and its signal ends it. */
const MIGRATION = 'migration'

/**
 * What a transaction was asked for.
 * @typedef {object} Plan
 * @property {string | undefined} label
 * @property {readonly { type: string, id: string }[] | undefined} records
 * @property {number} settings
 * @property {AbortSignal | undefined} signal
 * @property {number} timeoutMs 0 for none
 * @property {string | undefined} role of a socket's transaction: its own, or that of its repository; of others: `MIGRATION`, or none
 */

/** @type {Plan} */
const PLAIN = Object.freeze({ label: undefined, records: undefined, settings: ALL_READS, signal: undefined, timeoutMs: 0, role: undefined })

/** @type {Record<string, (value: any, plan: Plan) => void>} */
const OPTIONS = {
  isolation: (value, plan) => {
    if (value !== 'record' && value !== 'label') throw wrongType('isolation', 'isolation is \'record\' or \'label\'')
    if (value === 'label') plan.settings = (plan.settings & ~ALL_READS) | LOCKS_AT_COMMIT
  },
  nested: (value, plan) => {
    if (value !== 'join' && value !== 'independent') throw wrongType('nested', 'nested is \'join\' or \'independent\'')
    if (value === 'independent') plan.settings |= INDEPENDENT
  },
  signal: (value, plan) => {
    abortSignal('signal', value)
    plan.signal = value
  },
  timeoutMs: (value, plan) => {
    milliseconds('timeoutMs', value)
    plan.timeoutMs = value
  }
}

/** @param {unknown} work */
function checkWork(work) {
  if (typeof work !== 'function') throw wrongType('work', 'work is a function that returns a promise')
}

/**
 * @param {unknown} label
 * @param {unknown} options
 * @returns {Plan}
 */
function planFor(label, options) {
  if (label !== undefined && (typeof label !== 'string' || label === '' || !label.isWellFormed())) {
    throw wrongType('label', 'a label is a string that is not empty and holds no half of a surrogate pair')
  }
  // As a literal: V8 copies a frozen object property by property.
  const plan = { label, records: undefined, settings: ALL_READS, signal: undefined, timeoutMs: 0, role: undefined }
  return options === undefined ? plan : withOptions(plan, options)
}

/**
 * @param {unknown} scope
 * @param {unknown} options
 * @returns {Plan}
 */
function planWith(scope, options) {
  const records = /** @type {any} */ (scope)?.records
  if (!Array.isArray(records) || records.length === 0) {
    throw wrongType('records', 'records is an array of { type, id } that is not empty')
  }
  if (records.length > MAX_RECORDS) {
    throw outOfRange('records', `records names ${records.length} records and may name ${MAX_RECORDS} at most; lock a label instead`)
  }
  for (const record of records) {
    if (typeof record !== 'object' || record === null) throw wrongType('records', 'records is an array of { type, id }')
  }
  const plan = { ...PLAIN, records: records.map(({ type, id }) => ({ type, id })) }
  return options === undefined ? plan : withOptions(plan, options)
}

/**
 * @param {Plan} plan
 * @param {unknown} options
 */
function withOptions(plan, options) {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) throw wrongType('options', 'options are an object')
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(OPTIONS, name)) {
      throw wrongType('options', `options.${name} is not known; known are ${Object.keys(OPTIONS).join(', ')}`)
    }
    if (value !== undefined) OPTIONS[name]?.(value, plan)
  }
  return plan
}

module.exports = { ALL_READS, INDEPENDENT, LAST_RESORT, LOCKS_AT_COMMIT, MIGRATION, PLAIN, checkWork, planFor, planWith, readsOf }
