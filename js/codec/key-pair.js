'use strict'

const { types } = require('node:util')
const { isPlain } = require('./plain.js')
const { byteLength, isGone } = require('./byte-length.js')
const { corrupt } = require('./corrupt.js')

/** @typedef {import('./writer.js').Writer} Writer */
/** @typedef {import('./reader.js').Reader} Reader */

const LONGEST_KEY = 255

/**
 * Appends `{ public, private }` in packed form: which comes first, the length of the first, the first, the second.
 * @param {Writer} writer
 * @param {unknown} value
 * @returns {boolean} false, and nothing appended, where it is anything else
 */
function encodeKeyPair(writer, value) {
  if (!isPlain(value)) return false
  const keys = Object.keys(value)
  if (keys.length !== 2) return false
  const [first, second] = keys
  const isPublicFirst = first === 'public' && second === 'private'
  if (!isPublicFirst && !(first === 'private' && second === 'public')) return false
  const firstKey = value[/** @type {string} */ (first)]
  const secondKey = value[/** @type {string} */ (second)]
  if (!types.isUint8Array(firstKey) || !types.isUint8Array(secondKey)) return false
  const firstLength = byteLength(firstKey)
  if (firstLength > LONGEST_KEY || isGone(firstKey) || isGone(secondKey)) return false
  writer.u8(isPublicFirst ? 0 : 1)
  writer.u8(firstLength)
  writer.bytes(firstKey, firstLength)
  writer.bytes(secondKey)
  return true
}

/** @param {Reader} reader */
function decodeKeyPair(reader) {
  const order = reader.u8()
  if (order > 1) throw corrupt('a key pair has an unknown order')
  const first = reader.bytes(reader.u8())
  const second = reader.bytes(reader.left())
  return order === 0 ? { public: first, private: second } : { private: first, public: second }
}

module.exports = { encodeKeyPair, decodeKeyPair }
