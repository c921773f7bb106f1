'use strict'

const { hasOwnProperty } = Object.prototype

/**
 * Whether a value is an object, of whatever kind.
 * @param {unknown} value
 * @returns {value is Record<string, unknown>}
 */
function isObject(value) {
  return typeof value === 'object' && value !== null
}

/**
 * Whether a value is an object that nothing but `{}` or `JSON.parse` need have made. Runs no user code but a proxy's trap.
 * @param {unknown} value
 * @returns {value is Record<string, unknown>}
 */
function isPlain(value) {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype
}

/**
 * Whether a key that `for in` gave is the object's own. It also gives those of a prototype to which somebody has added some.
 * @param {object} object
 * @param {string} key
 * @returns {boolean}
 */
function owns(object, key) {
  return hasOwnProperty.call(object, key)
}

/**
 * How many keys an object has, if they are the first of these, in this order; 0 where they are not. By `for in`, which makes no array.
 * @param {Record<string, unknown>} object
 * @param {readonly string[]} keys
 */
function leadingKeys(object, keys) {
  let count = 0
  for (const key in object) if (key !== keys[count++] || !hasOwnProperty.call(object, key)) return 0
  return count
}

/**
 * Whether a value is plain and has exactly these keys in this order.
 * @param {unknown} value
 * @param {readonly string[]} keys
 * @returns {value is Record<string, unknown>}
 */
function isShaped(value, keys) {
  return isPlain(value) && leadingKeys(value, keys) === keys.length
}

module.exports = { isObject, isPlain, owns, leadingKeys, isShaped }
