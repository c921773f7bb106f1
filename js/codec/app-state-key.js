'use strict'

const { Writer } = require('./writer.js')
const { Reader } = require('./reader.js')
const { encodeTree } = require('./tree-encode.js')
const { decodeTree } = require('./tree-decode.js')
const { pathOf, refusal } = require('./refuse.js')
const { toLong } = require('./long.js')

/** @typedef {import('./refuse.js').Path} Path */
/** @typedef {import('./long.js').LongBits} LongBits */
/** @typedef {{ deviceIndexes: number[], rawId?: number, currentIndex?: number }} Fingerprint */
/** @typedef {{ keyData?: unknown, fingerprint?: Fingerprint, timestamp?: LongBits }} AppStateSyncKey */

const BASE64 = /^[A-Za-z0-9+/]*$/

/**
 * What protobuf's base64 decoder makes of a string.
 * @param {string} text
 * @returns {Buffer | undefined} where it throws, or leaves bytes of its result unset
 */
function fromBase64(text) {
  const end = text.indexOf('=')
  const digits = end < 0 ? text : text.slice(0, end)
  const rest = digits.length % 4
  if (!BASE64.test(digits) || rest === 1 || (end >= 0 && rest === 0)) return undefined
  let last = text.length
  let padding = 0
  while (--last % 4 > 1 && text[last] === '=') padding++
  const bytes = Buffer.from(digits, 'base64')
  return Math.trunc(Math.ceil(text.length * 3) / 4 - padding) === bytes.length ? bytes : undefined
}

/**
 * Bytes that were written to JSON without a replacer are an object of numbers by index; BufferJSON's reviver takes that for bytes.
 * @param {unknown} value
 */
function revived(value) {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || Buffer.isBuffer(value)) return value
  const keys = Object.keys(value)
  const numbers = Object.values(value)
  if (keys.length === 0 || !keys.every(key => !Number.isNaN(parseInt(key, 10)))) return value
  return numbers.every(number => typeof number === 'number') ? Buffer.from(numbers) : value
}

/**
 * The fields that `proto.Message.AppStateSyncKeyData.fromObject` gives for a value that went through JSON and BufferJSON, without
 * its prototype and without `Long`: a message in memory, one from JSON and one of a user's own making all come back alike.
 * @param {unknown} value as encoded and decoded again
 * @param {Path} path
 */
function fromObject(value, path) {
  /** @type {AppStateSyncKey} */
  const key = {}
  const { keyData, fingerprint, timestamp } = /** @type {Record<string, unknown>} */ (value)
  const bytes = revived(keyData)
  if (typeof bytes === 'string') {
    key.keyData = fromBase64(bytes)
    if (!key.keyData) throw refusal(pathOf(path, ['keyData'], 1), 'it is not base64; store the bytes')
  } else if (bytes !== null && bytes !== undefined && /** @type {{ length?: any }} */ (bytes).length >= 0) {
    key.keyData = bytes
  }
  if (fingerprint !== null && fingerprint !== undefined) {
    if (typeof fingerprint !== 'object') throw refusal(pathOf(path, ['fingerprint'], 1), 'it is not an object; store one or remove it')
    key.fingerprint = fingerprintOf(fingerprint, path)
  }
  if (timestamp !== null && timestamp !== undefined) {
    const long = attempt(() => toLong(timestamp))
    if (!long) throw refusal(pathOf(path, ['timestamp'], 1), 'it is no whole number; store a number, a string of digits or a Long')
    key.timestamp = long
  }
  return key
}

/**
 * @param {object} value
 * @param {Path} path
 */
function fingerprintOf(value, path) {
  const { rawId, currentIndex, deviceIndexes } = /** @type {Record<string, any>} */ (value)
  /** @type {Fingerprint} */
  const fingerprint = { deviceIndexes: [] }
  const place = ['fingerprint', '']
  /** @param {string} name */
  const refuse = name => {
    place[1] = name
    return refusal(pathOf(path, place, 2), 'protobuf does not take it; store a whole number, or a list of them for deviceIndexes')
  }
  if (rawId !== null && rawId !== undefined) {
    const number = attempt(() => rawId >>> 0)
    if (number === undefined) throw refuse('rawId')
    fingerprint.rawId = number
  }
  if (currentIndex !== null && currentIndex !== undefined) {
    const number = attempt(() => currentIndex >>> 0)
    if (number === undefined) throw refuse('currentIndex')
    fingerprint.currentIndex = number
  }
  if (deviceIndexes) {
    const numbers = Array.isArray(deviceIndexes) ? attempt(() => deviceIndexes.map(index => index >>> 0)) : undefined
    if (numbers === undefined) throw refuse('deviceIndexes')
    fingerprint.deviceIndexes = numbers
  }
  return fingerprint
}

/**
 * A conversion of a decoded value to a number throws where the value has a property named `valueOf` or `toString`.
 * @template T
 * @param {() => T} convert
 * @returns {T | undefined}
 */
function attempt(convert) {
  try {
    return convert()
  } catch {
    return undefined
  }
}

/**
 * Brings an app state sync key into the one form in which it is stored.
 * @param {unknown} value
 * @param {Path} path
 */
function normalizeAppStateKey(value, path) {
  const writer = new Writer(Buffer.allocUnsafe(256))
  encodeTree(writer, value, path)
  const copy = decodeTree(new Reader(writer.buffer, 0, writer.offset))
  return copy === null ? copy : fromObject(copy, path)
}

module.exports = { normalizeAppStateKey }
