'use strict'

/** @typedef {import('./writer.js').Writer} Writer */
/** @typedef {import('./reader.js').Reader} Reader */

/**
 * Appends the lengths of the items of a column: the one that all of them have, or 0 and then each. So every item takes at least a
 * byte, of its own or of the lengths, and a count that the bytes do not bear out is seen as such.
 * @template T
 * @param {Writer} writer
 * @param {readonly T[]} items at least one
 * @param {(item: T) => number} lengthOf
 * @returns {number} their sum
 */
function encodeLengths(writer, items, lengthOf) {
  const first = lengthOf(/** @type {T} */ (items[0]))
  let total = 0
  let isCommon = first > 0
  for (let i = 0; i < items.length; i++) {
    const length = lengthOf(/** @type {T} */ (items[i]))
    if (length !== first) isCommon = false
    total += length
  }
  writer.varint(isCommon ? first : 0)
  if (!isCommon) for (let i = 0; i < items.length; i++) writer.varint(lengthOf(/** @type {T} */ (items[i])))
  return total
}

/** The lengths of the items of a column. */
class Lengths {
  /**
   * @param {number} common the length of all, or 0
   * @param {readonly number[]} each the length of each, where they have none in common
   */
  constructor(common, each) {
    this.common = common
    this.each = each
  }

  /** @param {number} i */
  at(i) {
    return this.common > 0 ? this.common : /** @type {number} */ (this.each[i])
  }

  /**
   * The bytes that the items from `first` up to `end` take.
   * @param {number} first
   * @param {number} end
   */
  sum(first, end) {
    if (this.common > 0) return this.common * (end - first)
    let sum = 0
    for (let i = first; i < end; i++) sum += this.at(i)
    return sum
  }
}

/**
 * Reads the lengths of `count` items, without looking whether the items are there.
 * @param {Reader} reader
 * @param {number} count at least 1
 */
function decodeLengths(reader, count) {
  const common = reader.varint()
  /** @type {number[]} */
  const each = []
  if (common === 0) for (let i = 0; i < count; i++) each.push(reader.varint())
  return new Lengths(common, each)
}

module.exports = { Lengths, encodeLengths, decodeLengths }
