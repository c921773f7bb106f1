'use strict'

const PLAIN_KEY = /^[A-Za-z_$][\w$]*$/
const LONE_SURROGATE = /\p{Surrogate}/u
const LONGEST_KEY = 80
/** Of bytes whose memory is not there any more. */
const GONE = 'its memory was handed to another thread or shrunk; store it before that, or a copy'

/** The place of a value: what the caller names it, or a function that makes the name when it is needed. @typedef {string | (() => string)} Path */
/** Keys and indexes that lead into a value. @typedef {(string | number)[]} Trail */

/** @param {string} key */
function quoted(key) {
  const shown = key.length > LONGEST_KEY ? key.slice(0, LONGEST_KEY) + '...' : key
  const escaped = shown.replace(/[\\']|[^\x20-\x7e]/g, unit =>
    unit === '\\' || unit === "'" ? '\\' + unit : '\\u' + unit.charCodeAt(0).toString(16).padStart(4, '0'))
  return `['${escaped}']`
}

/**
 * Names a place inside a value, such as `session['123.0'].a[3]`.
 * @param {Path} path
 * @param {Trail} trail
 * @param {number} length how much of the trail counts
 */
function pathOf(path, trail, length) {
  let name = typeof path === 'function' ? path() : path
  for (let i = 0; i < length; i++) {
    const key = trail[i]
    if (typeof key === 'number') name += `[${key}]`
    else name += PLAIN_KEY.test(/** @type {string} */ (key)) ? `.${key}` : quoted(/** @type {string} */ (key))
  }
  return name
}

/**
 * The error for a value that could not come back unchanged. Its message holds the path and the reason, never a part of the value.
 * @param {string} argument
 * @param {string} reason what is wrong and what to do
 */
function refusal(argument, reason) {
  return Object.assign(new TypeError(`${argument} cannot be stored: ${reason}`), {
    code: /** @type {const} */ ('ERR_CASK_INVALID_ARGUMENT'),
    retryable: false,
    argument
  })
}

/**
 * Whether a string has half of a surrogate pair, which UTF-8 cannot hold.
 * @param {string} text
 */
function hasLoneSurrogate(text) {
  return LONE_SURROGATE.test(text)
}

module.exports = { GONE, pathOf, refusal, hasLoneSurrogate }
