'use strict'

const { native } = require('./native.js')
const { TAG } = require('./tags.js')
const { APP_STATE_SYNC_KEY } = require('./families.js')
const { corrupt } = require('./corrupt.js')
const { Reader } = require('./reader.js')
const { decodeTree } = require('./tree-decode.js')
const { decodeSessionOnce } = require('./session-memo.js')
const { decodeKeyPair } = require('./key-pair.js')
const { decodeLtHash } = require('./lt-hash.js')

/**
 * What a caller can have done to decoded values.
 * @typedef {object} DecodeHooks
 * @property {((value: any) => unknown) | undefined} [appStateSyncKey] gives an app state sync key its prototype:
 * `proto.Message.AppStateSyncKeyData.fromObject`
 */

/**
 * Reads the value that fills `start` to `end`. The result is new and shares no memory with `buffer`.
 * @param {Buffer} buffer
 * @param {number} start
 * @param {number} end
 * @param {number} familyCode decides only whether the hook applies; the bytes say the rest
 * @param {DecodeHooks} [hooks]
 * @returns {unknown}
 */
function decodeValue(buffer, start, end, familyCode, hooks) {
  if (!(start < end && end <= buffer.length)) throw corrupt('it is empty')
  const tag = buffer[start]
  if (tag === TAG.ASCII) return native(buffer).latin1Slice(start + 1, end)
  const reader = new Reader(buffer, start + 1, end)
  const value = decodeTagged(reader, tag)
  reader.finish()
  if (familyCode === APP_STATE_SYNC_KEY && typeof value === 'object' && value !== null && hooks?.appStateSyncKey) {
    return hooks.appStateSyncKey(value)
  }
  return value
}

/**
 * @param {Reader} reader
 * @param {number | undefined} tag
 * @returns {unknown}
 */
function decodeTagged(reader, tag) {
  switch (tag) {
    case TAG.BYTES:
      return reader.bytes(reader.left())
    case TAG.UTF8:
      return reader.utf8(reader.left())
    case TAG.KEY_PAIR:
      return decodeKeyPair(reader)
    case TAG.LT_HASH:
      return decodeLtHash(reader)
    case TAG.TREE:
      return decodeTree(reader)
    case TAG.SESSION:
      return decodeSessionOnce(reader)
    default:
      throw corrupt('its tag is unknown')
  }
}

module.exports = { decodeValue }
