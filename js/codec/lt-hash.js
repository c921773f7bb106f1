'use strict'

const { types } = require('node:util')
const { byteLength, isGone } = require('./byte-length.js')
const { dictionary } = require('./dictionary.js')
const { encodeLengths, decodeLengths } = require('./lengths.js')
const { MAX_JOINED_TEXTS } = require('./limits.js')
const { isPlain, isShaped } = require('./plain.js')
const { setOwn } = require('./set-own.js')

/** @typedef {import('./writer.js').Writer} Writer */
/** @typedef {import('./reader.js').Reader} Reader */
/** @typedef {import('./lengths.js').Lengths} Lengths */

const STATE = ['version', 'hash', 'indexValueMap']
const ENTRY = ['valueMac']

/** Entries that are copied at once. All of a large state at once would leave the processor's cache. */
const BATCH = 64
/** Up to this size macs are cut out of one copy. It comes from the pool that Node takes small buffers from anyway. */
const POOLED_BYTES = 2048

/** @param {string} text */
const textLength = text => text.length
/** @param {number} length */
const itself = length => length

/**
 * Appends an app state version, `{ version, hash, indexValueMap: { [indexMac]: { valueMac } } }`, in packed form.
 * @param {Writer} writer
 * @param {unknown} value
 * @returns {boolean} false where it is anything else; what was appended by then is to be dropped
 */
function encodeLtHash(writer, value) {
  if (!isShaped(value, STATE)) return false
  const { version, hash, indexValueMap: entries } = value
  if (!types.isUint8Array(hash) || !isPlain(entries) || !writer.int(version)) return false
  const hashLength = byteLength(hash)
  if (isGone(hash)) return false
  writer.varint(hashLength)
  writer.bytes(hash, hashLength)
  const ids = Object.keys(entries)
  const macs = macsOf(entries, ids)
  if (!macs) return false
  writer.varint(ids.length)
  if (ids.length === 0) return true
  if (encodeLengths(writer, ids, textLength) > MAX_JOINED_TEXTS) return false
  // Once: no user code runs from here on, but shared memory may grow.
  const lengths = macs.map(byteLength)
  encodeLengths(writer, lengths, itself)
  for (let i = 0; i < ids.length; i += BATCH) if (!writer.ascii(ids.slice(i, i + BATCH).join(''))) return false
  for (let i = 0; i < macs.length; i++) writer.bytes(/** @type {Uint8Array} */ (macs[i]), lengths[i])
  return true
}

/**
 * @param {Record<string, unknown>} entries
 * @param {readonly string[]} ids
 * @returns {Uint8Array[] | undefined} where one of the entries has another shape
 */
function macsOf(entries, ids) {
  /** @type {Uint8Array[]} */
  const macs = []
  for (let i = 0; i < ids.length; i++) {
    const entry = entries[/** @type {string} */ (ids[i])]
    if (!isShaped(entry, ENTRY)) return undefined
    const { valueMac } = entry
    if (!types.isUint8Array(valueMac) || isGone(valueMac)) return undefined
    macs.push(valueMac)
  }
  return macs
}

/** @param {Reader} reader */
function decodeLtHash(reader) {
  const version = reader.int()
  const hash = reader.bytes(reader.varint())
  const count = reader.varint()
  return { version, hash, indexValueMap: count > 0 ? decodeEntries(reader, count) : dictionary() }
}

/**
 * @param {Reader} reader
 * @param {number} count
 */
function decodeEntries(reader, count) {
  const idLengths = decodeLengths(reader, count)
  const macLengths = decodeLengths(reader, count)
  let at = reader.take(idLengths.sum(0, count))
  /** @type {Record<string, { valueMac: Buffer }>} */
  const entries = dictionary()
  for (let first = 0; first < count; first += BATCH) {
    const end = Math.min(first + BATCH, count)
    const size = idLengths.sum(first, end)
    // What is cut out of this text does not keep it: V8 copies names of properties.
    const ids = reader.buffer.latin1Slice(at, at + size)
    at += size
    const macs = decodeMacs(reader, macLengths, first, end)
    for (let i = first, from = 0; i < end; i++) {
      const to = from + idLengths.at(i)
      setOwn(entries, ids.substring(from, to), { valueMac: /** @type {Buffer} */ (macs[i - first]) })
      from = to
    }
  }
  return entries
}

/**
 * @param {Reader} reader
 * @param {Lengths} lengths
 * @param {number} first
 * @param {number} end
 */
function decodeMacs(reader, lengths, first, end) {
  /** @type {Buffer[]} */
  const macs = []
  const size = lengths.sum(first, end)
  if (size > POOLED_BYTES) {
    for (let i = first; i < end; i++) macs.push(reader.bytes(lengths.at(i)))
    return macs
  }
  const all = reader.bytes(size)
  for (let i = first, from = 0; i < end; i++) {
    const to = from + lengths.at(i)
    macs.push(all.subarray(from, to))
    from = to
  }
  return macs
}

module.exports = { encodeLtHash, decodeLtHash }
