'use strict'

const { dictionary, roomyDictionary } = require('./dictionary.js')
const { setOwn } = require('./set-own.js')

/** @typedef {import('./session-fields.js').Field} Field */

/** Makes a session of its fields, in the order in which they were written. */
class SessionBuilder {
  /** @param {Field[]} fields */
  constructor(fields) {
    this.fields = fields
    this.at = 0
  }

  /** @returns {any} */
  next() {
    return this.fields[this.at++]
  }

  session() {
    const version = this.next()
    const sessions = dictionary()
    for (let id = this.next(); id !== undefined; id = this.next()) setOwn(sessions, id, this.entry())
    return { _sessions: sessions, version }
  }

  entry() {
    const registrationId = this.next()
    const ephemeralKeyPair = { pubKey: this.next(), privKey: this.next() }
    const currentRatchet = {
      ephemeralKeyPair,
      lastRemoteEphemeralKey: this.next(),
      previousCounter: this.next(),
      rootKey: this.next()
    }
    const indexInfo = {
      baseKey: this.next(),
      baseKeyType: this.next(),
      closed: this.next(),
      used: this.next(),
      created: this.next(),
      remoteIdentityKey: this.next()
    }
    // A conversation goes on to have a dozen of them.
    const chains = roomyDictionary()
    for (let id = this.next(); id !== undefined; id = this.next()) setOwn(chains, id, this.chain())
    const pending = this.next()
    if (pending === 0) return { registrationId, currentRatchet, indexInfo, _chains: chains }
    return { registrationId, currentRatchet, indexInfo, _chains: chains, pendingPreKey: this.pending(pending) }
  }

  chain() {
    const chainType = this.next()
    const counter = this.next()
    const key = this.next()
    const chainKey = key === undefined ? { counter } : { counter, key }
    /** @type {Record<string, unknown>} */
    const messageKeys = {}
    for (let id = this.next(); id !== undefined; id = this.next()) setOwn(messageKeys, id, this.next())
    return { chainKey, chainType, messageKeys }
  }

  /** @param {number} form */
  pending(form) {
    const signedKeyId = this.next()
    const baseKey = this.next()
    return form === 1 ? { signedKeyId, baseKey } : { signedKeyId, baseKey, preKeyId: this.next() }
  }
}

/**
 * The session of these fields: new objects all the way down.
 * @param {Field[]} fields
 */
function buildSession(fields) {
  return new SessionBuilder(fields).session()
}

module.exports = { buildSession }
