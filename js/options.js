'use strict'

const { wrongType, outOfRange } = require('./errors.js')
const { checkSecret } = require('./secret.js')

/** @typedef {import('../index.js').CaskOptions} CaskOptions */

/** Longest time an option may ask for: what a timer can wait. */
const MAX_MS = 2 ** 31 - 1
const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error']

/** @type {Record<string, (name: string, value: any) => void>} */
const CHECKS = {
  path: text,
  name: text,
  durability: (name, value) => {
    if (value !== 'process' && value !== 'power') throw wrongType(name, 'durability is \'process\' or \'power\'')
  },
  syncIntervalMs: milliseconds,
  encryptionKey: checkSecret,
  cacheBytes: count,
  rollbackGuard: text,
  create: flag,
  openWaitMs: milliseconds,
  lockTimeoutMs: milliseconds,
  transactionTimeoutMs: milliseconds,
  stallWarnMs: milliseconds,
  lockStacks: flag,
  logger: (name, value) => {
    const fits = typeof value === 'object' && value !== null && LOG_LEVELS.every((level) => typeof value[level] === 'function')
    if (!fits) throw wrongType(name, `logger is an object with the functions ${LOG_LEVELS.join(', ')}, as pino makes it`)
  },
  baileys: (name, value) => {
    if (typeof value?.initAuthCreds !== 'function') throw wrongType(name, 'baileys is the module: an object with the function initAuthCreds')
  }
}

/**
 * @param {string} name
 * @param {any} value
 */
function text(name, value) {
  if (typeof value !== 'string' || value === '' || !value.isWellFormed()) throw wrongType(name, `${name} is a string that is not empty`)
  if (value.includes('\u0000')) throw wrongType(name, `${name} holds a NUL character`)
}

/**
 * @param {string} name
 * @param {any} value
 */
function count(name, value) {
  if (typeof value !== 'number') throw wrongType(name, `${name} is a number`)
  if (!Number.isSafeInteger(value) || value < 0) throw outOfRange(name, `${name} is a whole number, 0 or more`)
}

/**
 * @param {string} name
 * @param {any} value
 */
function milliseconds(name, value) {
  count(name, value)
  if (value > MAX_MS) throw outOfRange(name, `${name} is at most ${MAX_MS} milliseconds`)
}

/**
 * @param {string} name
 * @param {any} value
 */
function flag(name, value) {
  if (typeof value !== 'boolean') throw wrongType(name, `${name} is true or false`)
}

/**
 * A signal of another realm is one too.
 * @param {string} name
 * @param {any} value
 */
function abortSignal(name, value) {
  const fits = typeof value?.aborted === 'boolean' && typeof value.addEventListener === 'function' && typeof value.removeEventListener === 'function'
  if (!fits) throw wrongType(name, `${name} is an AbortSignal`)
}

/**
 * Checks options; gives a copy without what is undefined.
 * @param {unknown} options
 * @param {readonly string[]} known
 * @param {Record<string, (name: string, value: any) => void>} [checks] by name; those of a cask
 * @returns {Record<string, any>}
 */
function checkOptions(options, known, checks = CHECKS) {
  if (options === undefined) return {}
  if (typeof options !== 'object' || options === null || Array.isArray(options)) throw wrongType('options', 'options are an object')
  /** @type {Record<string, any>} */
  const checked = {}
  for (const [name, value] of Object.entries(options)) {
    const check = known.includes(name) ? checks[name] : undefined
    if (!check) throw wrongType('options', `options.${name} is not known; known are ${known.join(', ')}`)
    if (value === undefined) continue
    check(name, value)
    checked[name] = value
  }
  return checked
}

const CASK_OPTIONS = Object.freeze(Object.keys(CHECKS))

module.exports = { checkOptions, abortSignal, flag, milliseconds, text, CASK_OPTIONS, MAX_MS }
