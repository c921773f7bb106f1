'use strict'

const { buildSession } = require('./session-decode.js')
const { readFields } = require('./session-fields.js')

/** @typedef {import('./reader.js').Reader} Reader */
/** @typedef {import('./session-fields.js').Field} Field */

/** A power of two. */
const SLOTS = 16384
/** Encoded sessions below this size are none of libsignal's. */
const SHORTEST = 64
/** Encoded sessions beyond this size are decoded anew each time. */
const LONGEST = 16 * 1024
/** Encoded bytes remembered in all; what is kept of them takes about five times as much. */
const BUDGET = 2 * 1024 * 1024
/** Where in the texts the slot is taken from: characters of the first session's key, which are random and stay when its ratchets turn. */
const PROBE = 10
const PROBE_LENGTH = 6

/**
 * One encoded session, the first `length` of the bytes, and its fields in the order in which they are read.
 * @typedef {{ bytes: Buffer, length: number, fields: Field[] }} Remembered
 */

/** @type {(Remembered | undefined)[]} */
const slots = new Array(SLOTS).fill(undefined)
let remembered = 0
/** The slot that is given up next. */
let oldest = 0
/** What each slot was asked for last: a session is remembered when it is read a second time, not while its ratchet turns at every step. */
const lastSeen = new Int32Array(SLOTS)
/** How many bytes, spread over a session, tell it from its last state. */
const SAMPLES = 16

/**
 * Decodes a session, from memory where the same bytes were decoded before: the fields are there as values, so that no text is cut
 * and no property name looked up again. Every result is made of new objects; only strings and numbers, which cannot change, are
 * shared. The bytes are compared as a whole, so nothing here can be out of date.
 * @param {Reader} reader over a whole value, after its tag
 */
function decodeSessionOnce(reader) {
  const { buffer, offset: start, end } = reader
  const length = end - start
  if (length < SHORTEST || length > LONGEST) return buildSession(readFields(reader))
  const slot = slotOf(buffer, start, end)
  const found = slots[slot]
  if (found && found.length === length && buffer.compare(found.bytes, 0, length, start, end) === 0) {
    reader.offset = end
    return buildSession(found.fields)
  }
  const fields = readFields(reader)
  const sample = sampleOf(buffer, start, length)
  if (lastSeen[slot] === sample) remember(slot, buffer, start, end, fields)
  else lastSeen[slot] = sample
  return buildSession(fields)
}

/**
 * Remembers a session that is written in a transaction: the next one that turns its ratchet reads just these bytes.
 * @param {Buffer} buffer
 * @param {number} start
 * @param {number} end
 * @param {Field[]} fields in the order in which they are read
 */
function rememberWritten(buffer, start, end, fields) {
  const length = end - start
  if (length >= SHORTEST && length <= LONGEST) remember(slotOf(buffer, start, end), buffer, start, end, fields)
}

/**
 * @param {number} slot
 * @param {Buffer} buffer
 * @param {number} start
 * @param {number} end
 * @param {Field[]} fields
 */
function remember(slot, buffer, start, end, fields) {
  const length = end - start
  const before = slots[slot]
  // The next state of a session most often has the length of the one before, or nearly.
  if (before && before.bytes.length >= length && before.bytes.length < 2 * length) {
    buffer.copy(before.bytes, 0, start, end)
    before.length = length
    before.fields = fields
    return
  }
  forget(slot)
  while (remembered + length > BUDGET) {
    oldest = (oldest + 1) & (SLOTS - 1)
    forget(oldest)
  }
  const bytes = Buffer.allocUnsafeSlow(length)
  buffer.copy(bytes, 0, start, end)
  slots[slot] = { bytes, length, fields }
  remembered += length
}

/** @param {number} slot */
function forget(slot) {
  remembered -= slots[slot]?.bytes.length ?? 0
  slots[slot] = undefined
}

/**
 * A number that seldom is the same for two states of a session. It decides only whether remembering is worth while.
 * @param {Uint8Array} buffer
 * @param {number} start
 * @param {number} length
 */
function sampleOf(buffer, start, length) {
  let sample = length
  const step = (length / SAMPLES) | 0
  for (let at = start; at < start + length; at += step) sample = (Math.imul(sample, 31) + /** @type {number} */ (buffer[at])) | 0
  return sample
}

/**
 * @param {Uint8Array} buffer
 * @param {number} start
 * @param {number} end
 */
function slotOf(buffer, start, end) {
  // The length of the fields; nothing that is remembered has more of them than two bytes can say.
  const fields = /** @type {number} */ (buffer[start]) | (/** @type {number} */ (buffer[start + 1]) << 8)
  const at = start + 4 + fields + PROBE
  if (at + PROBE_LENGTH > end) return 0
  let slot = 0
  for (let i = at; i < at + PROBE_LENGTH; i++) slot = Math.imul(slot ^ /** @type {number} */ (buffer[i]), 0x01000193)
  return (slot ^ (slot >>> 15)) & (SLOTS - 1)
}

module.exports = { decodeSessionOnce, rememberWritten }
