'use strict'

const { native } = require('./native.js')
const { byteLength } = require('./byte-length.js')

/** Strings shorter than this are copied by a loop, which beats the two calls into native code. */
const SHORT_STRING = 32
/** The same for bytes, which take one call, and one that the compiler knows. */
const SHORT_BYTES = 11
/** Bytes of UTF-8 at most. */
const LONGEST_CHARACTER = 4
/** From here on a varint has more than four bytes. */
const FOUR_BYTES = 2 ** 28
/** Beyond this, folding the sign in would lose the lowest bit. */
const LARGEST_INT = 2 ** 52
const DOUBLE = new Float64Array(1)
const DOUBLE_BYTES = new Uint8Array(DOUBLE.buffer)

/**
 * A growing buffer with a write position. Numbers are little-endian.
 *
 * `buffer` is replaced when it grows, so it must be read again after anything that can write:
 * user code (a getter, a proxy, `toJSON`) may encode through the same writer's owner.
 */
class Writer {
  /** @param {Buffer} buffer */
  constructor(buffer) {
    /** @type {Buffer} */
    this.buffer = buffer
    /** Position of the next byte. */
    this.offset = 0
    /** Whether what is written belongs to a transaction, which most often writes what another one reads next. */
    this.isOfTransaction = false
  }

  /**
   * Makes room for `n` more bytes; at least doubles the buffer where it does not have it.
   * @param {number} n
   */
  ensure(n) {
    const needed = this.offset + n
    if (needed <= this.buffer.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.buffer.length * 2, 64))
    this.buffer.copy(larger, 0, 0, this.offset)
    this.buffer = larger
  }

  /** @param {number} value */
  u8(value) {
    if (this.offset === this.buffer.length) this.ensure(1)
    this.buffer[this.offset++] = value
  }

  /** @param {number} value */
  u16(value) {
    this.ensure(2)
    const buffer = this.buffer
    buffer[this.offset++] = value
    buffer[this.offset++] = value >>> 8
  }

  /** @param {number} value */
  u32(value) {
    this.ensure(4)
    const buffer = this.buffer
    buffer[this.offset++] = value
    buffer[this.offset++] = value >>> 8
    buffer[this.offset++] = value >>> 16
    buffer[this.offset++] = value >>> 24
  }

  /**
   * Seven bits a byte, lowest first, high bit set on all but the last.
   * @param {number} value 0 to 2^53 - 1
   */
  varint(value) {
    if (value < 128) this.u8(value)
    else this.longVarint(value)
  }

  /** @param {number} value 128 to 2^53 - 1 */
  longVarint(value) {
    this.ensure(8)
    const buffer = this.buffer
    let at = this.offset
    let rest = value
    if (value >= FOUR_BYTES) {
      // A time stamp, say. Only this one step needs more than 32 bits.
      rest = Math.floor(value / FOUR_BYTES)
      const low = value - rest * FOUR_BYTES
      buffer[at++] = low | 128
      buffer[at++] = (low >>> 7) | 128
      buffer[at++] = (low >>> 14) | 128
      buffer[at++] = (low >>> 21) | 128
    }
    while (rest > 127) {
      buffer[at++] = rest | 128
      rest >>>= 7
    }
    buffer[at++] = rest
    this.offset = at
  }

  /**
   * Appends a whole number as a varint, with the sign folded into the lowest bit.
   * @param {unknown} value
   * @returns {boolean} false, and nothing appended, where it is none, or one beyond 2^52
   */
  int(value) {
    if (typeof value !== 'number') return false
    if (value >= 0 && value < 64 && (value | 0) === value) {
      this.u8(value * 2)
      return true
    }
    if (!Number.isInteger(value) || value > LARGEST_INT || value < -LARGEST_INT) return false
    this.varint(value >= 0 ? value * 2 : value * -2 - 1)
    return true
  }

  /** @param {number} value */
  f64(value) {
    this.ensure(8)
    DOUBLE[0] = value
    this.buffer.set(DOUBLE_BYTES, this.offset)
    this.offset += 8
  }

  /**
   * @param {Uint8Array} bytes
   * @param {number} [length] what was told of them: shared memory may have grown since
   */
  bytes(bytes, length = byteLength(bytes)) {
    this.ensure(length)
    const { buffer, offset } = this
    if (length < SHORT_BYTES) {
      for (let i = 0; i < length; i++) buffer[offset + i] = /** @type {number} */ (bytes[i])
    } else {
      buffer.set(byteLength(bytes) === length ? bytes : bytes.subarray(0, length), offset)
    }
    this.offset = offset + length
  }

  /**
   * Appends a string if all of it is ASCII. What it wrote of any other string is not kept.
   * @param {string} text
   * @returns {boolean} whether it was
   */
  ascii(text) {
    const length = text.length
    if (length < SHORT_STRING) {
      if (this.buffer.length - this.offset < length) this.ensure(length)
      const { buffer, offset } = this
      for (let i = 0; i < length; i++) {
        const code = text.charCodeAt(i)
        if (code > 127) return false
        buffer[offset + i] = code
      }
    } else {
      if (this.buffer.length - this.offset < length + LONGEST_CHARACTER) this.ensure(length + LONGEST_CHARACTER)
      // UTF-8 takes one byte per UTF-16 unit for ASCII only. Of any other text there is room for more than that; and where there is
      // room for all that it could take, V8 does not look ahead.
      const room = Math.min(this.buffer.length - this.offset, length * 3 + LONGEST_CHARACTER)
      if (native(this.buffer).utf8Write(text, this.offset, room) !== length) return false
    }
    this.offset += length
    return true
  }

  /**
   * Appends the UTF-8 form of a string without lone surrogates.
   * @param {string} text
   */
  utf8(text) {
    const length = Buffer.byteLength(text)
    this.ensure(length)
    native(this.buffer).utf8Write(text, this.offset, length)
    this.offset += length
  }
}

module.exports = { Writer }
