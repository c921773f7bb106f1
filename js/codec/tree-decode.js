'use strict'

const { NODE, MAX_DEPTH } = require('./tags.js')
const { corrupt } = require('./corrupt.js')
const { setOwn } = require('./set-own.js')

/** @typedef {import('./reader.js').Reader} Reader */

/**
 * Reads one node and all below it.
 * @param {Reader} reader
 * @param {number} depth number of containers around it
 * @returns {unknown}
 */
function decodeNode(reader, depth) {
  const type = reader.u8()
  if (type >= 0x80) return type & 0x7f
  switch (type) {
    case NODE.NULL:
      return null
    case NODE.FALSE:
      return false
    case NODE.TRUE:
      return true
    case NODE.INT32:
      return reader.buffer.readInt32LE(reader.take(4))
    case NODE.DOUBLE:
      return reader.f64()
    case NODE.ASCII:
      return reader.ascii(reader.varint())
    case NODE.UTF8:
      return reader.utf8(reader.varint())
    case NODE.BYTES:
      return reader.bytes(reader.varint())
    case NODE.ARRAY:
      return decodeArray(reader, depth)
    case NODE.OBJECT:
      return decodeObject(reader, depth)
    default:
      throw corrupt('a node has an unknown type')
  }
}

/**
 * @param {Reader} reader
 * @param {number} depth
 */
function decodeArray(reader, depth) {
  if (depth >= MAX_DEPTH) throw corrupt('it is nested too deep')
  const length = reader.varint()
  if (length > reader.left()) throw corrupt('a length reaches past its end')
  /** @type {unknown[]} */
  const array = []
  for (let i = 0; i < length; i++) array.push(decodeNode(reader, depth + 1))
  return array
}

/**
 * @param {Reader} reader
 * @param {number} depth
 */
function decodeObject(reader, depth) {
  if (depth >= MAX_DEPTH) throw corrupt('it is nested too deep')
  /** @type {Record<string, unknown>} */
  const object = {}
  for (;;) {
    const header = reader.varint()
    if (header === 0) return object
    const length = Math.floor((header - 1) / 2)
    const key = header % 2 === 1 ? reader.ascii(length) : reader.utf8(length)
    setOwn(object, key, decodeNode(reader, depth + 1))
  }
}

/**
 * Reads a whole tree.
 * @param {Reader} reader
 */
function decodeTree(reader) {
  return decodeNode(reader, 0)
}

module.exports = { decodeTree }
