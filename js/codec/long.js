'use strict'

const ZERO_WORDS = new Set(['NaN', 'Infinity', '+Infinity', '-Infinity'])
const DIGITS_AT_ONCE = 8

/**
 * A signed 64-bit number in the form in which protobuf messages hold it, without the class `Long`.
 * @typedef {{ low: number, high: number, unsigned: false }} LongBits
 */

/**
 * @param {bigint} bits
 * @returns {LongBits}
 */
function fromBigInt(bits) {
  return { low: Number(BigInt.asIntN(32, bits)), high: Number(BigInt.asIntN(32, bits >> 32n)), unsigned: false }
}

/**
 * Values beyond 64 bits become the nearest that fits; fractions are cut off.
 * @param {number} value finite
 */
function fromNumber(value) {
  if (value <= -(2 ** 63)) return fromBigInt(-(2n ** 63n))
  if (value + 1 >= 2 ** 63) return fromBigInt(2n ** 63n - 1n)
  return fromBigInt(BigInt(Math.trunc(value)))
}

/**
 * Reads decimal digits as the `long` package does, with its leniency: eight characters at a time, each group by `parseInt`,
 * wrapping around at 64 bits.
 * @param {string} text
 * @returns {LongBits | undefined} where it takes the text for no number
 */
function fromString(text) {
  if (text.length === 0) return undefined
  if (ZERO_WORDS.has(text)) return fromBigInt(0n)
  const signs = /^-*/.exec(text)?.[0].length ?? 0
  const digits = text.slice(signs)
  if (digits.length === 0 || digits.includes('-')) return undefined
  if (signs > 0 && ZERO_WORDS.has(digits)) return fromBigInt(0n)
  let bits = 0n
  for (let i = 0; i < digits.length; i += DIGITS_AT_ONCE) {
    const group = digits.slice(i, i + DIGITS_AT_ONCE)
    const number = parseInt(group, 10)
    bits = BigInt.asIntN(64, bits * 10n ** BigInt(group.length) + BigInt(Number.isNaN(number) ? 0 : number))
  }
  return fromBigInt(signs % 2 === 1 ? -bits : bits)
}

/**
 * What protobuf's `fromObject` makes of the value of an `int64` field, as decoded from JSON.
 * @param {unknown} value neither null nor undefined
 * @returns {LongBits | undefined} where `fromObject` throws
 */
function toLong(value) {
  if (typeof value === 'number') return fromNumber(value)
  if (typeof value === 'string') return fromString(value)
  const { low, high } = /** @type {{ low?: any, high?: any }} */ (value)
  return { low: low | 0, high: high | 0, unsigned: false }
}

module.exports = { toLong }
