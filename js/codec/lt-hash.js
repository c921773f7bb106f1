'use strict'

const { types } = require('node:util')
const { isPlain, shaped } = require('./plain.js')
const { byteLength } = require('./byte-length.js')
const { dictionary } = require('./dictionary.js')
const { setOwn } = require('./set-own.js')

/** @typedef {import('./writer.js').Writer} Writer */
/** @typedef {import('./reader.js').Reader} Reader */

const STATE = ['version', 'hash', 'indexValueMap']
const ENTRY = ['valueMac']

/**
 * Appends an app state version, `{ version, hash, indexValueMap: { [indexMac]: { valueMac } } }`, in packed form.
 * @param {Writer} writer
 * @param {unknown} value
 * @returns {boolean} false where it is anything else; what was appended by then is to be dropped
 */
function encodeLtHash(writer, value) {
  const state = shaped(value, STATE)
  if (!state) return false
  const { version, hash, indexValueMap: entries } = state
  if (!types.isUint8Array(hash) || !isPlain(entries) || !writer.int(version)) return false
  writer.varint(byteLength(hash))
  writer.bytes(hash)
  const ids = Object.keys(entries)
  writer.varint(ids.length)
  for (let i = 0; i < ids.length; i++) {
    const id = /** @type {string} */ (ids[i])
    const entry = shaped(entries[id], ENTRY)
    if (!entry || !writer.shortText(id)) return false
    const { valueMac } = entry
    if (!types.isUint8Array(valueMac)) return false
    writer.varint(byteLength(valueMac))
    writer.bytes(valueMac)
  }
  return true
}

/** @param {Reader} reader */
function decodeLtHash(reader) {
  const version = reader.int()
  const hash = reader.bytes(reader.varint())
  /** @type {Record<string, { valueMac: Buffer }>} */
  const entries = dictionary()
  for (let count = reader.varint(); count > 0; count--) {
    setOwn(entries, reader.shortText(), { valueMac: reader.bytes(reader.varint()) })
  }
  return { version, hash, indexValueMap: entries }
}

module.exports = { encodeLtHash, decodeLtHash }
