'use strict'

/**
 * What a terminal obeys instead of showing it, and what hides or reorders text: control characters, formats such as the
 * right-to-left override, halves of surrogate pairs, line separators.
 */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u
const TO_ESCAPE = /[\\\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu
const IN_JSON = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu

/** @type {Record<string, string>} */
const SHORT = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' }

/**
 * Text as it may be printed, on one line.
 * @param {string} text
 */
function visible(text) {
  return UNSAFE.test(text) ? text.replace(TO_ESCAPE, (char) => SHORT[char] ?? escaped(char)) : text
}

/** @param {string} char */
function escaped(char) {
  const code = /** @type {number} */ (char.codePointAt(0))
  if (code <= 0xff) return `\\x${hex(code, 2)}`
  return code <= 0xffff ? `\\u${hex(code, 4)}` : `\\u{${code.toString(16)}}`
}

/**
 * @param {number} number
 * @param {number} digits
 */
function hex(number, digits) {
  return number.toString(16).padStart(digits, '0')
}

/**
 * A value as JSON on one line, safe on a terminal as well: `JSON.stringify` leaves some control characters as they are.
 * @param {unknown} value
 */
function visibleJson(value) {
  return escapedInJson(JSON.stringify(value))
}

/**
 * JSON text with escapes for everything unsafe but line ends, which stand outside of strings only.
 * @param {string} json
 */
function escapedInJson(json) {
  return json.replace(IN_JSON, (char) => (char === '\n' ? char : Array.from({ length: char.length }, (_, i) => `\\u${hex(char.charCodeAt(i), 4)}`).join('')))
}

module.exports = { visible, visibleJson, escapedInJson }
