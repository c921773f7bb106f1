'use strict'

/**
 * Whether a value is an object that nothing but `{}` or `JSON.parse` need have made. Runs no user code but a proxy's trap.
 * @param {unknown} value
 * @returns {value is Record<string, unknown>}
 */
function isPlain(value) {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype
}

/**
 * Whether the keys of an object are exactly these, in this order.
 * @param {readonly string[]} keys what `Object.keys` gave
 * @param {readonly string[]} expected
 */
function sameKeys(keys, expected) {
  const { length } = expected
  if (keys.length !== length) return false
  for (let i = 0; i < length; i++) if (keys[i] !== expected[i]) return false
  return true
}

/**
 * The object itself, if it is plain and has exactly these keys in this order.
 * @param {unknown} value
 * @param {readonly string[]} expected
 * @returns {Record<string, unknown> | undefined}
 */
function shaped(value, expected) {
  return isPlain(value) && sameKeys(Object.keys(value), expected) ? value : undefined
}

module.exports = { isPlain, sameKeys, shaped }
