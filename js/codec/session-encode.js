'use strict'

const { isPlain, sameKeys, shaped } = require('./plain.js')

/** @typedef {import('./writer.js').Writer} Writer */

// What libsignal's SessionRecord.serialize() makes, in its order. Anything else is encoded as a tree.
const RECORD = ['_sessions', 'version']
const ENTRY = ['registrationId', 'currentRatchet', 'indexInfo', '_chains']
const PENDING_ENTRY = [...ENTRY, 'pendingPreKey']
const RATCHET = ['ephemeralKeyPair', 'lastRemoteEphemeralKey', 'previousCounter', 'rootKey']
const KEY_PAIR = ['pubKey', 'privKey']
const INDEX = ['baseKey', 'baseKeyType', 'closed', 'used', 'created', 'remoteIdentityKey']
const CHAIN = ['chainKey', 'chainType', 'messageKeys']
const PENDING = ['signedKeyId', 'baseKey']
const PENDING_WITH_ID = ['signedKeyId', 'baseKey', 'preKeyId']

/**
 * Appends a session of libsignal in packed form. Reads each property once.
 * @param {Writer} writer
 * @param {unknown} value
 * @returns {boolean} false where it is anything else; what was appended by then is to be dropped
 */
function encodeSession(writer, value) {
  const record = shaped(value, RECORD)
  if (!record) return false
  const { _sessions: sessions, version } = record
  if (!isPlain(sessions) || !writer.shortText(version)) return false
  const ids = Object.keys(sessions)
  writer.varint(ids.length)
  for (let i = 0; i < ids.length; i++) {
    const id = /** @type {string} */ (ids[i])
    if (!writer.shortText(id) || !encodeEntry(writer, sessions[id])) return false
  }
  return true
}

/**
 * @param {Writer} writer
 * @param {unknown} entry
 */
function encodeEntry(writer, entry) {
  if (!isPlain(entry)) return false
  const keys = Object.keys(entry)
  const isPending = keys.length === PENDING_ENTRY.length
  if (!sameKeys(keys, isPending ? PENDING_ENTRY : ENTRY)) return false
  return (
    writer.int(entry.registrationId) &&
    encodeRatchet(writer, entry.currentRatchet) &&
    encodeIndex(writer, entry.indexInfo) &&
    encodeChains(writer, entry._chains) &&
    encodePending(writer, isPending ? entry.pendingPreKey : undefined)
  )
}

/**
 * @param {Writer} writer
 * @param {unknown} value
 */
function encodeRatchet(writer, value) {
  const ratchet = shaped(value, RATCHET)
  if (!ratchet) return false
  const pair = shaped(ratchet.ephemeralKeyPair, KEY_PAIR)
  return (
    pair !== undefined &&
    writer.shortText(pair.pubKey) &&
    writer.shortText(pair.privKey) &&
    writer.shortText(ratchet.lastRemoteEphemeralKey) &&
    writer.int(ratchet.previousCounter) &&
    writer.shortText(ratchet.rootKey)
  )
}

/**
 * @param {Writer} writer
 * @param {unknown} value
 */
function encodeIndex(writer, value) {
  const index = shaped(value, INDEX)
  return (
    index !== undefined &&
    writer.shortText(index.baseKey) &&
    writer.int(index.baseKeyType) &&
    writer.int(index.closed) &&
    writer.int(index.used) &&
    writer.int(index.created) &&
    writer.shortText(index.remoteIdentityKey)
  )
}

/**
 * @param {Writer} writer
 * @param {unknown} chains
 */
function encodeChains(writer, chains) {
  if (!isPlain(chains)) return false
  const ids = Object.keys(chains)
  writer.varint(ids.length)
  for (let i = 0; i < ids.length; i++) {
    const id = /** @type {string} */ (ids[i])
    if (!writer.shortText(id) || !encodeChain(writer, chains[id])) return false
  }
  return true
}

/**
 * @param {Writer} writer
 * @param {unknown} value
 */
function encodeChain(writer, value) {
  const chain = shaped(value, CHAIN)
  if (!chain) return false
  const { chainKey, chainType, messageKeys } = chain
  if (!isPlain(chainKey) || !isPlain(messageKeys)) return false
  const names = Object.keys(chainKey)
  if (names[0] !== 'counter' || names.length > 2 || (names.length === 2 && names[1] !== 'key')) return false
  if (!writer.int(chainType) || !writer.int(chainKey.counter)) return false
  // A chain that is used up has its key set to undefined, which JSON drops.
  const key = names.length === 2 ? chainKey.key : undefined
  if (key === undefined) writer.u8(0)
  else {
    writer.u8(1)
    if (!writer.shortText(key)) return false
  }
  const numbers = Object.keys(messageKeys)
  writer.varint(numbers.length)
  for (let i = 0; i < numbers.length; i++) {
    const number = /** @type {string} */ (numbers[i])
    if (!writer.shortText(number) || !writer.shortText(messageKeys[number])) return false
  }
  return true
}

/**
 * @param {Writer} writer
 * @param {unknown} value `undefined` where the session has no pre-key that waits to be confirmed
 */
function encodePending(writer, value) {
  if (value === undefined) {
    writer.u8(0)
    return true
  }
  if (!isPlain(value)) return false
  const keys = Object.keys(value)
  const hasId = keys.length === PENDING_WITH_ID.length
  if (!sameKeys(keys, hasId ? PENDING_WITH_ID : PENDING)) return false
  writer.u8(hasId ? 2 : 1)
  return writer.int(value.signedKeyId) && writer.shortText(value.baseKey) && (!hasId || writer.int(value.preKeyId))
}

module.exports = { encodeSession }
