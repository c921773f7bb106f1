'use strict'

const { corrupt } = require('./corrupt.js')
const { dictionary, roomyDictionary } = require('./dictionary.js')
const { setOwn } = require('./set-own.js')

/** What is read from: encoded bytes, or fields read before. @typedef {Pick<import('./session-reader.js').SessionReader, 'u8' | 'int' | 'text' | 'optionalText'>} Reader */

/**
 * Reads a session in packed form.
 * @param {Reader} reader
 */
function decodeSession(reader) {
  const version = reader.text()
  const sessions = dictionary()
  for (let id = reader.optionalText(); id !== undefined; id = reader.optionalText()) setOwn(sessions, id, decodeEntry(reader))
  return { _sessions: sessions, version }
}

/**
 * Fields are read in the order in which they are written here.
 * @param {Reader} reader
 */
function decodeEntry(reader) {
  const registrationId = reader.int()
  const ephemeralKeyPair = { pubKey: reader.text(), privKey: reader.text() }
  const currentRatchet = {
    ephemeralKeyPair,
    lastRemoteEphemeralKey: reader.text(),
    previousCounter: reader.int(),
    rootKey: reader.text()
  }
  const indexInfo = {
    baseKey: reader.text(),
    baseKeyType: reader.int(),
    closed: reader.int(),
    used: reader.int(),
    created: reader.int(),
    remoteIdentityKey: reader.text()
  }
  // A conversation goes on to have a dozen of them.
  const chains = roomyDictionary()
  for (let id = reader.optionalText(); id !== undefined; id = reader.optionalText()) setOwn(chains, id, decodeChain(reader))
  const pending = reader.u8()
  if (pending === 0) return { registrationId, currentRatchet, indexInfo, _chains: chains }
  return { registrationId, currentRatchet, indexInfo, _chains: chains, pendingPreKey: decodePending(reader, pending) }
}

/** @param {Reader} reader */
function decodeChain(reader) {
  const chainType = reader.int()
  const counter = reader.int()
  const key = reader.optionalText()
  const chainKey = key === undefined ? { counter } : { counter, key }
  /** @type {Record<string, unknown>} */
  const messageKeys = {}
  for (let id = reader.optionalText(); id !== undefined; id = reader.optionalText()) setOwn(messageKeys, id, reader.text())
  return { chainKey, chainType, messageKeys }
}

/**
 * @param {Reader} reader
 * @param {number} form
 */
function decodePending(reader, form) {
  const signedKeyId = reader.int()
  const baseKey = reader.text()
  if (form === 1) return { signedKeyId, baseKey }
  if (form === 2) return { signedKeyId, baseKey, preKeyId: reader.int() }
  throw corrupt('a pending pre-key has an unknown form')
}

module.exports = { decodeSession }
