'use strict'

const { isAscii, isUtf8 } = require('node:buffer')
const { types } = require('node:util')
const { setOwn } = require('../codec/set-own.js')

/** Deeper values are refused by the store anyway. */
const MAX_DEPTH = 200

/**
 * A text without any of these holds no bytes: an object made of them, as Baileys writes it, an array of numbers that was no array, or a
 * name that is written with escapes.
 */
const MARKS = ['"Buffer"', '"0"', '\\u']

/**
 * The value in a file of Baileys' multi-file store.
 * @param {Buffer} bytes
 * @returns {unknown}
 * @throws {SyntaxError} where it is not whole
 */
function parseValue(bytes) {
  if (!isUtf8(bytes)) throw new SyntaxError('it is not UTF-8')
  const text = isAscii(bytes) ? bytes.toString('latin1') : bytes.toString('utf8')
  const value = JSON.parse(text)
  return MARKS.some((mark) => text.includes(mark)) ? revive(value, 0) : value
}

/**
 * Turns into bytes what stands for bytes, in place.
 * @param {any} value
 * @param {number} depth
 * @returns {unknown}
 */
function revive(value, depth) {
  if (typeof value !== 'object' || value === null || depth > MAX_DEPTH) return value
  for (const key of Object.keys(value)) {
    const item = value[key]
    if (typeof item === 'object' && item !== null) value[key] = revive(item, depth + 1)
  }
  return bytesIn(value) ?? value
}

/**
 * The bytes that an object from JSON stands for: as BufferJSON writes them, as a Buffer does by itself, or as a Uint8Array does. What
 * stands for bytes inside of it has become some before.
 * @param {any} value
 * @returns {Buffer | undefined}
 */
function bytesIn(value) {
  if (Array.isArray(value)) return undefined
  if (value.type === 'Buffer') {
    if (typeof value.data === 'string') return Buffer.from(value.data, 'base64')
    if (types.isUint8Array(value.data)) return Buffer.from(value.data)
    // Whole and modulo 256, as the store takes them; holes are for it to refuse.
    if (Array.isArray(value.data) && !value.data.includes(undefined) && value.data.every(Number.isFinite)) return Buffer.from(value.data)
    return undefined
  }
  // Baileys takes more for bytes, such as `{ 15550100001: 3 }`, which was none.
  if (value[0] === undefined) return undefined
  const keys = Object.keys(value)
  return keys.every((key, i) => key === String(i) && isByte(value[key])) ? Buffer.from(Object.values(value)) : undefined
}

/** @param {unknown} value */
function isByte(value) {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 255
}

/** What a value that is too deep is given up with: one that goes round in circles has no end, and one with two ways round has 2^200. */
const TOO_DEEP = Symbol('too deep')

/**
 * A value as it would be after JSON with BufferJSON's replacer and reviver; shares nothing but bytes with the one given. What cannot go
 * that way stays as it is, for the store to refuse.
 * @param {any} value
 * @returns {unknown}
 */
function throughJson(value) {
  try {
    return converted(value, 0)
  } catch (error) {
    if (error === TOO_DEEP) return value
    throw error
  }
}

/**
 * @param {any} value
 * @param {number} depth
 * @returns {unknown}
 */
function converted(value, depth) {
  if (typeof value !== 'object' || value === null || types.isUint8Array(value)) return value
  if (depth > MAX_DEPTH) throw TOO_DEEP
  if (typeof value.toJSON === 'function') return converted(value.toJSON(), depth + 1)
  if (Array.isArray(value)) {
    /** @type {unknown[]} */
    const items = []
    for (let at = 0; at < value.length; at++) {
      // An array of nothing but holes is as long as it likes to be.
      if (!(at in value)) return value
      items.push(converted(value[at], depth + 1))
    }
    return items
  }
  const prototype = Object.getPrototypeOf(value)
  if (Object.prototype.toString.call(value) !== '[object Object]' && prototype !== null) return value
  /** @type {Record<string, unknown>} */
  const copy = {}
  for (const key of Object.keys(value)) if (value[key] !== undefined) setOwn(copy, key, converted(value[key], depth + 1))
  return bytesIn(copy) ?? copy
}

/**
 * The text that Baileys' multi-file store writes for a value.
 * @param {string} family
 * @param {any} value as the store gives it
 */
function textOf(family, value) {
  return JSON.stringify(family === 'app-state-sync-key' ? appStateSyncKey(value) : value, replacer)
}

/**
 * @this {any}
 * @param {string} key
 * @param {unknown} value
 */
function replacer(key, value) {
  // Before its own `toJSON` has made a list of numbers of it.
  const own = this[key]
  return types.isUint8Array(own) ? { type: 'Buffer', data: Buffer.from(own.buffer, own.byteOffset, own.length).toString('base64') } : value
}

/**
 * An app state sync key in the form of protobuf's JSON, in which Baileys writes it.
 * @param {any} value plain, or Baileys' message, which has that form by itself
 */
function appStateSyncKey(value) {
  if (typeof value !== 'object' || value === null || typeof value.toJSON === 'function') return value
  const { keyData, timestamp, ...rest } = value
  return {
    ...(types.isUint8Array(keyData) ? { keyData: Buffer.from(keyData).toString('base64') } : {}),
    ...rest,
    ...(typeof timestamp === 'object' && timestamp !== null ? { timestamp: String(longOf(timestamp)) } : {})
  }
}

/** @param {{ low: number, high: number }} halves */
function longOf({ low, high }) {
  return (BigInt(high) << 32n) | BigInt(low >>> 0)
}

module.exports = { parseValue, throughJson, textOf }
