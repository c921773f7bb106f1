'use strict'

const { types } = require('node:util')
const { NODE, MAX_DEPTH } = require('./tags.js')
const { GONE, pathOf, refusal, hasLoneSurrogate } = require('./refuse.js')
const { byteLength, isGone } = require('./byte-length.js')
const { exotic } = require('./classify.js')

/** @typedef {import('./writer.js').Writer} Writer */
/** @typedef {import('./refuse.js').Path} Path */

/**
 * One walk over one value: reads each property once, checks it and writes it. User code may run at any read, so nothing of the
 * writer but the writer itself is kept across one.
 */
class TreeEncoder {
  /**
   * @param {Writer} writer
   * @param {Path} path
   */
  constructor(writer, path) {
    this.writer = writer
    this.path = path
    /** Keys that lead to the value at hand. @type {(string | number)[]} */
    this.trail = []
    /** Containers around the value at hand, outermost first. @type {object[]} */
    this.around = []
    /** Set where `toJSON` gave undefined for a property: JSON drops it. */
    this.dropped = false
  }

  /**
   * @param {number} depth how much of the trail counts
   * @param {string} reason
   */
  refuse(depth, reason) {
    return refusal(pathOf(this.path, this.trail, depth), reason)
  }

  /**
   * Called where the depth runs out: a circle is named at the place where it closes.
   * @param {number} depth
   */
  tooDeep(depth) {
    const { around } = this
    for (let inner = 1; inner < depth; inner++) {
      if (around.indexOf(/** @type {object} */ (around[inner])) < inner) {
        return this.refuse(inner, 'it is circular; remove the reference to what it is part of')
      }
    }
    return this.refuse(depth, `it is nested more than ${MAX_DEPTH} levels deep; make it flatter`)
  }

  /**
   * Appends one node.
   * @param {unknown} value
   * @param {number} depth number of containers around it
   * @returns {void}
   */
  node(value, depth) {
    const { writer } = this
    switch (typeof value) {
      case 'string':
        return this.string(value, depth)
      case 'number':
        return this.number(value, depth)
      case 'boolean':
        return writer.u8(value ? NODE.TRUE : NODE.FALSE)
      case 'object':
        return value === null ? writer.u8(NODE.NULL) : this.object(value, depth)
      case 'undefined':
        throw this.refuse(depth, 'undefined does not come back; use null')
      case 'bigint':
        throw this.refuse(depth, 'a bigint does not come back; store a number or a string')
      case 'function':
        throw this.refuse(depth, 'a function does not come back; remove it')
      default:
        throw this.refuse(depth, 'a symbol does not come back; remove it')
    }
  }

  /**
   * @param {number} value
   * @param {number} depth
   */
  number(value, depth) {
    const { writer } = this
    if ((value | 0) === value) {
      if (value >= 0 && value < 128) return writer.u8(0x80 | value)
      writer.u8(NODE.INT32)
      return writer.u32(value)
    }
    if (!Number.isFinite(value)) throw this.refuse(depth, 'NaN and Infinity do not come back; use null or a string')
    writer.u8(NODE.DOUBLE)
    writer.f64(value)
  }

  /**
   * @param {string} text
   * @param {number} depth
   */
  string(text, depth) {
    const { writer } = this
    const start = writer.offset
    writer.u8(NODE.ASCII)
    writer.varint(text.length)
    if (writer.ascii(text)) return
    if (hasLoneSurrogate(text)) throw this.refuse(depth, 'the string holds half of a surrogate pair; correct it')
    writer.offset = start
    writer.u8(NODE.UTF8)
    writer.varint(Buffer.byteLength(text))
    writer.utf8(text)
  }

  /**
   * A key is its length * 2 + 1, or + 2 where it is UTF-8, and its bytes.
   * @param {string} key
   * @param {number} depth
   */
  key(key, depth) {
    const { writer } = this
    const start = writer.offset
    writer.varint(key.length * 2 + 1)
    if (writer.ascii(key)) return
    if (hasLoneSurrogate(key)) throw this.refuse(depth, 'the key holds half of a surrogate pair; correct it')
    writer.offset = start
    writer.varint(Buffer.byteLength(key) * 2 + 2)
    writer.utf8(key)
  }

  /**
   * @param {Uint8Array} bytes
   * @param {number} depth
   */
  bytes(bytes, depth) {
    const { writer } = this
    if (isGone(bytes)) throw this.refuse(depth, GONE)
    const length = byteLength(bytes)
    writer.u8(NODE.BYTES)
    writer.varint(length)
    writer.bytes(bytes, length)
  }

  /**
   * @param {object} value
   * @param {number} depth
   * @returns {void}
   */
  object(value, depth) {
    if (types.isUint8Array(value)) return this.bytes(value, depth)
    if (depth >= MAX_DEPTH) throw this.tooDeep(depth)
    this.around[depth] = value
    if (Array.isArray(value)) return this.array(value, depth)
    const prototype = Object.getPrototypeOf(value)
    if (prototype !== Object.prototype && prototype !== null) {
      const reason = exotic(value)
      if (reason !== undefined) throw this.refuse(depth, reason)
    }
    const { toJSON } = /** @type {{ toJSON?: unknown }} */ (value)
    if (typeof toJSON === 'function') {
      const key = depth === 0 ? '' : String(this.trail[depth - 1])
      return this.converted(toJSON.call(value, key), depth)
    }
    this.properties(value, depth)
  }

  /**
   * What `toJSON` gave in place of an object; as in JSON, its own `toJSON` is not called.
   * @param {unknown} value
   * @param {number} depth
   * @returns {void}
   */
  converted(value, depth) {
    if (value === undefined && depth > 0 && typeof this.trail[depth - 1] === 'string') {
      this.dropped = true
      return
    }
    if (typeof value !== 'object' || value === null) return this.node(value, depth)
    if (types.isUint8Array(value)) return this.bytes(value, depth)
    this.around[depth] = value
    if (Array.isArray(value)) return this.array(value, depth)
    const reason = exotic(value)
    if (reason !== undefined) throw this.refuse(depth, reason)
    this.properties(value, depth)
  }

  /**
   * @param {unknown[]} array
   * @param {number} depth
   */
  array(array, depth) {
    const { writer, trail } = this
    const { length } = array
    writer.u8(NODE.ARRAY)
    writer.varint(length)
    for (let i = 0; i < length; i++) {
      trail[depth] = i
      this.node(array[i], depth + 1)
    }
  }

  /**
   * @param {object} value
   * @param {number} depth
   */
  properties(value, depth) {
    const { writer, trail } = this
    const record = /** @type {Record<string, unknown>} */ (value)
    const keys = Object.keys(record)
    // BufferJSON's form of bytes; its `data` is read here, so it must not be read again below.
    const mayBeBytes = keys.length >= 2 && keys.includes('type') && keys.includes('data')
    let type
    let data
    if (mayBeBytes) {
      type = record.type
      data = record.data
      if (type === 'Buffer' && this.jsonBuffer(data, depth)) return
    }
    writer.u8(NODE.OBJECT)
    for (const key of keys) {
      const property = mayBeBytes && key === 'type' ? type : mayBeBytes && key === 'data' ? data : record[key]
      if (property === undefined) continue
      trail[depth] = key
      const start = writer.offset
      this.key(key, depth + 1)
      this.node(property, depth + 1)
      if (this.dropped) {
        this.dropped = false
        writer.offset = start
      }
    }
    writer.u8(0)
  }

  /**
   * Appends the bytes that Baileys' BufferJSON makes of `{ type: 'Buffer', data }`. It hands `data` to `Buffer.from`: a string
   * counts as UTF-8 text, not as base64, and numbers are taken modulo 256.
   * @param {unknown} data
   * @param {number} depth
   * @returns {boolean} false where `data` is nothing that BufferJSON makes bytes of
   */
  jsonBuffer(data, depth) {
    const { trail } = this
    trail[depth] = 'data'
    if (typeof data === 'string') {
      if (hasLoneSurrogate(data)) throw this.refuse(depth + 1, 'the string holds half of a surrogate pair; correct it')
      this.bytes(Buffer.from(data), depth + 1)
      return true
    }
    if (types.isUint8Array(data)) {
      this.bytes(data, depth + 1)
      return true
    }
    if (!Array.isArray(data)) return false
    const { length } = data
    /** @type {number[]} */
    const bytes = []
    for (let i = 0; i < length; i++) {
      const number = data[i]
      if (typeof number !== 'number' || !Number.isFinite(number)) {
        trail[depth + 1] = i
        throw this.refuse(depth + 2, 'a byte of a Buffer in JSON form must be a number; correct it')
      }
      bytes.push(number)
    }
    this.bytes(Buffer.from(bytes), depth + 1)
    return true
  }
}

/**
 * Appends any value as a tree, without a tag.
 * @param {Writer} writer
 * @param {unknown} value
 * @param {Path} path
 */
function encodeTree(writer, value, path) {
  new TreeEncoder(writer, path).node(value, 0)
}

module.exports = { encodeTree }
