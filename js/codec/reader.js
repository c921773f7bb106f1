'use strict'

const { isUtf8 } = require('node:buffer')
const { native } = require('./native.js')
const { corrupt } = require('./corrupt.js')

/** Up to this size an encoded value is turned into one string, from which its texts are cut: one native call instead of many. */
const WHOLE_TEXT_BYTES = 65536
/** Up to this size bytes are copied by a loop, which beats two native calls. */
const SHORT_BYTES = 40

const DOUBLE = new Float64Array(1)
const DOUBLE_BYTES = new Uint8Array(DOUBLE.buffer)

/** Reads fields of an encoded value; every length is checked against what is left before anything of that length is made. */
class Reader {
  /**
   * @param {Buffer} buffer
   * @param {number} start
   * @param {number} end
   */
  constructor(buffer, start, end) {
    this.buffer = native(buffer)
    this.start = start
    /** Position of the next byte. */
    this.offset = start
    this.end = end
    this.whole = end - start <= WHOLE_TEXT_BYTES
    /** All bytes from `start` to `end` as characters, once a text was asked for. */
    this.text = ''
  }

  u8() {
    if (this.offset >= this.end) throw corrupt('it ends early')
    return /** @type {number} */ (this.buffer[this.offset++])
  }

  /** What `Writer.varint` wrote. */
  varint() {
    const first = this.u8()
    return first < 128 ? first : this.longVarint(first)
  }

  /** @param {number} first */
  longVarint(first) {
    let value = first & 127
    for (let factor = 128; factor < 2 ** 53; factor *= 128) {
      const byte = this.u8()
      value += (byte & 127) * factor
      if (byte < 128) return value
    }
    throw corrupt('a number is too long')
  }

  /** What `Writer.int` wrote. */
  int() {
    const folded = this.varint()
    return folded % 2 === 0 ? folded / 2 : -(folded + 1) / 2
  }

  f64() {
    const start = this.take(8)
    for (let i = 0; i < 8; i++) DOUBLE_BYTES[i] = /** @type {number} */ (this.buffer[start + i])
    const value = /** @type {number} */ (DOUBLE[0])
    if (!Number.isFinite(value)) throw corrupt('a number is not finite')
    return value
  }

  /**
   * Steps over `length` bytes and returns where they start.
   * @param {number} length
   */
  take(length) {
    const start = this.offset
    if (length > this.end - start) throw corrupt('a length reaches past its end')
    this.offset = start + length
    return start
  }

  /** @param {number} length */
  ascii(length) {
    const start = this.take(length)
    if (!this.whole) return this.buffer.latin1Slice(start, start + length)
    if (this.text.length === 0) this.text = this.buffer.latin1Slice(this.start, this.end)
    const from = start - this.start
    return this.text.substring(from, from + length)
  }

  /** @param {number} length */
  utf8(length) {
    const start = this.take(length)
    if (!isUtf8(this.buffer.subarray(start, start + length))) throw corrupt('a string is not UTF-8')
    return this.buffer.utf8Slice(start, start + length)
  }

  /**
   * A copy in memory of its own.
   * @param {number} length
   */
  bytes(length) {
    const start = this.take(length)
    const copy = Buffer.allocUnsafe(length)
    if (length <= SHORT_BYTES) {
      const { buffer } = this
      for (let i = 0; i < length; i++) copy[i] = /** @type {number} */ (buffer[start + i])
    } else {
      copy.set(this.buffer.subarray(start, start + length))
    }
    return copy
  }

  /** Bytes not yet read. */
  left() {
    return this.end - this.offset
  }

  /** Checks that everything was read. */
  finish() {
    if (this.offset !== this.end) throw corrupt('bytes follow its end')
  }
}

module.exports = { Reader }
