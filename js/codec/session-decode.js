'use strict'

const { corrupt } = require('./corrupt.js')
const { dictionary } = require('./dictionary.js')
const { setOwn } = require('./set-own.js')

/** What is read from: encoded bytes, or fields read before. @typedef {Pick<import('./reader.js').Reader, 'u8' | 'varint' | 'int' | 'shortText'>} Reader */

/**
 * Reads a session in packed form.
 * @param {Reader} reader
 */
function decodeSession(reader) {
  const version = reader.shortText()
  const sessions = dictionary()
  for (let count = reader.varint(); count > 0; count--) setOwn(sessions, reader.shortText(), decodeEntry(reader))
  return { _sessions: sessions, version }
}

/**
 * Fields are read in the order in which they are written here.
 * @param {Reader} reader
 */
function decodeEntry(reader) {
  const registrationId = reader.int()
  const ephemeralKeyPair = { pubKey: reader.shortText(), privKey: reader.shortText() }
  const currentRatchet = {
    ephemeralKeyPair,
    lastRemoteEphemeralKey: reader.shortText(),
    previousCounter: reader.int(),
    rootKey: reader.shortText()
  }
  const indexInfo = {
    baseKey: reader.shortText(),
    baseKeyType: reader.int(),
    closed: reader.int(),
    used: reader.int(),
    created: reader.int(),
    remoteIdentityKey: reader.shortText()
  }
  const chains = dictionary()
  for (let count = reader.varint(); count > 0; count--) setOwn(chains, reader.shortText(), decodeChain(reader))
  const pending = reader.u8()
  if (pending === 0) return { registrationId, currentRatchet, indexInfo, _chains: chains }
  return { registrationId, currentRatchet, indexInfo, _chains: chains, pendingPreKey: decodePending(reader, pending) }
}

/** @param {Reader} reader */
function decodeChain(reader) {
  const chainType = reader.int()
  const counter = reader.int()
  const chainKey = decodeFlag(reader) ? { counter, key: reader.shortText() } : { counter }
  /** @type {Record<string, unknown>} */
  const messageKeys = {}
  for (let count = reader.varint(); count > 0; count--) setOwn(messageKeys, reader.shortText(), reader.shortText())
  return { chainKey, chainType, messageKeys }
}

/** @param {Reader} reader */
function decodeFlag(reader) {
  const flag = reader.u8()
  if (flag > 1) throw corrupt('a flag is neither 0 nor 1')
  return flag === 1
}

/**
 * @param {Reader} reader
 * @param {number} form
 */
function decodePending(reader, form) {
  const signedKeyId = reader.int()
  const baseKey = reader.shortText()
  if (form === 1) return { signedKeyId, baseKey }
  if (form === 2) return { signedKeyId, baseKey, preKeyId: reader.int() }
  throw corrupt('a pending pre-key has an unknown form')
}

module.exports = { decodeSession }
