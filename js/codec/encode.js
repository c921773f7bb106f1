'use strict'

const { types } = require('node:util')
const { TAG } = require('./tags.js')
const { PRE_KEY, SESSION, APP_STATE_SYNC_KEY, APP_STATE_SYNC_VERSION } = require('./families.js')
const { isGone } = require('./byte-length.js')
const { GONE, pathOf, refusal, hasLoneSurrogate } = require('./refuse.js')
const { encodeTree } = require('./tree-encode.js')
const { encodeSession } = require('./session-encode.js')
const { encodeKeyPair } = require('./key-pair.js')
const { encodeLtHash } = require('./lt-hash.js')
const { normalizeAppStateKey } = require('./app-state-key.js')

/** @typedef {import('./writer.js').Writer} Writer */
/** @typedef {import('./refuse.js').Path} Path */

/**
 * Appends one value: a tag, then its data. Refuses what could not come back unchanged; what was appended by then is to be
 * dropped by the caller.
 *
 * User code may run meanwhile (getters, proxies, `toJSON`) and may encode other values, through another writer. The form is
 * chosen by the properties that are also written: each is read once in the form that is kept.
 * @param {Writer} writer
 * @param {number} familyCode
 * @param {unknown} value
 * @param {Path} path names the value in errors
 */
function encodeValue(writer, familyCode, value, path) {
  if (familyCode === APP_STATE_SYNC_KEY && value) value = normalizeAppStateKey(value, path)
  if (typeof value === 'string') return encodeText(writer, value, path)
  if (types.isUint8Array(value)) {
    if (isGone(value)) throw refusal(pathOf(path, [], 0), GONE)
    writer.u8(TAG.BYTES)
    return writer.bytes(value)
  }
  const start = writer.offset
  if (familyCode === SESSION) {
    writer.u8(TAG.SESSION)
    if (encodeSession(writer, value)) return
  } else if (familyCode === PRE_KEY) {
    writer.u8(TAG.KEY_PAIR)
    if (encodeKeyPair(writer, value)) return
  } else if (familyCode === APP_STATE_SYNC_VERSION) {
    writer.u8(TAG.LT_HASH)
    if (encodeLtHash(writer, value)) return
  }
  writer.offset = start
  writer.u8(TAG.TREE)
  encodeTree(writer, value, path)
}

/**
 * @param {Writer} writer
 * @param {string} text
 * @param {Path} path
 */
function encodeText(writer, text, path) {
  const start = writer.offset
  writer.u8(TAG.ASCII)
  if (writer.ascii(text)) return
  if (hasLoneSurrogate(text)) throw refusal(pathOf(path, [], 0), 'the string holds half of a surrogate pair; correct it')
  writer.offset = start
  writer.u8(TAG.UTF8)
  writer.utf8(text)
}

module.exports = { encodeValue }
