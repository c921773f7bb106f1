'use strict'

const { MAX_JOINED_TEXTS } = require('./limits.js')
const { isPlain, owns, leadingKeys, isShaped } = require('./plain.js')

/** @typedef {import('./writer.js').Writer} Writer */

// What libsignal's SessionRecord.serialize() makes, in its order. Anything else is encoded as a tree.
const RECORD = ['_sessions', 'version']
/** The last one is not always there. */
const ENTRY = ['registrationId', 'currentRatchet', 'indexInfo', '_chains', 'pendingPreKey']
const RATCHET = ['ephemeralKeyPair', 'lastRemoteEphemeralKey', 'previousCounter', 'rootKey']
const KEY_PAIR = ['pubKey', 'privKey']
const INDEX = ['baseKey', 'baseKeyType', 'closed', 'used', 'created', 'remoteIdentityKey']
const CHAIN = ['chainKey', 'chainType', 'messageKeys']
/** The last one is not always there. */
const CHAIN_KEY = ['counter', 'key']
/** The last one is not always there. */
const PENDING = ['signedKeyId', 'baseKey', 'preKeyId']

/**
 * One walk over one session: reads each property once, writes the fields and collects the texts. User code may run at any read.
 * A method gives false where its part of the session has another shape.
 */
class SessionEncoder {
  /** @param {Writer} writer */
  constructor(writer) {
    this.writer = writer
    /** All texts so far: joined, they take one check and one copy instead of one each. */
    this.texts = ''
  }

  /**
   * Appends a text: its length to the fields, its characters to the texts.
   * @param {unknown} text
   */
  text(text) {
    return this.append(text, 0)
  }

  /**
   * Appends a text that need not be there: its length and one more, since 0 stands for none.
   * @param {unknown} text
   */
  optionalText(text) {
    return this.append(text, 1)
  }

  /** Appends that there is no text, or no further one. */
  noText() {
    this.writer.u8(0)
    return true
  }

  /**
   * @param {unknown} text
   * @param {number} extra what is added to its length
   */
  append(text, extra) {
    if (typeof text !== 'string') return false
    const { length } = text
    if (length > MAX_JOINED_TEXTS - this.texts.length) return false
    this.writer.varint(length + extra)
    this.texts += text
    return true
  }

  /** @param {unknown} value */
  record(value) {
    if (!isShaped(value, RECORD)) return false
    const { _sessions: sessions, version } = value
    if (!isPlain(sessions) || !this.text(version)) return false
    for (const id in sessions) {
      if (!owns(sessions, id) || !this.optionalText(id) || !this.entry(sessions[id])) return false
    }
    return this.noText()
  }

  /** @param {unknown} entry */
  entry(entry) {
    const { writer } = this
    if (!isPlain(entry)) return false
    const count = leadingKeys(entry, ENTRY)
    if (count < ENTRY.length - 1) return false
    return (
      writer.int(entry.registrationId) &&
      this.ratchet(entry.currentRatchet) &&
      this.index(entry.indexInfo) &&
      this.chains(entry._chains) &&
      this.pending(count === ENTRY.length ? entry.pendingPreKey : undefined)
    )
  }

  /** @param {unknown} ratchet */
  ratchet(ratchet) {
    if (!isShaped(ratchet, RATCHET)) return false
    const { ephemeralKeyPair: pair } = ratchet
    return (
      isShaped(pair, KEY_PAIR) &&
      this.text(pair.pubKey) &&
      this.text(pair.privKey) &&
      this.text(ratchet.lastRemoteEphemeralKey) &&
      this.writer.int(ratchet.previousCounter) &&
      this.text(ratchet.rootKey)
    )
  }

  /** @param {unknown} index */
  index(index) {
    const { writer } = this
    return (
      isShaped(index, INDEX) &&
      this.text(index.baseKey) &&
      writer.int(index.baseKeyType) &&
      writer.int(index.closed) &&
      writer.int(index.used) &&
      writer.int(index.created) &&
      this.text(index.remoteIdentityKey)
    )
  }

  /** @param {unknown} chains */
  chains(chains) {
    if (!isPlain(chains)) return false
    for (const id in chains) {
      if (!owns(chains, id) || !this.optionalText(id) || !this.chain(chains[id])) return false
    }
    return this.noText()
  }

  /** @param {unknown} chain */
  chain(chain) {
    if (!isShaped(chain, CHAIN)) return false
    const { chainKey, chainType, messageKeys } = chain
    if (!isPlain(messageKeys)) return false
    if (!this.writer.int(chainType) || !this.chainKey(chainKey)) return false
    for (const number in messageKeys) {
      if (!owns(messageKeys, number) || !this.optionalText(number) || !this.text(messageKeys[number])) return false
    }
    return this.noText()
  }

  /** @param {unknown} chainKey */
  chainKey(chainKey) {
    if (!isPlain(chainKey)) return false
    const count = leadingKeys(chainKey, CHAIN_KEY)
    if (count === 0 || !this.writer.int(chainKey.counter)) return false
    // A chain that is used up has its key set to undefined, which JSON drops.
    const key = count === CHAIN_KEY.length ? chainKey.key : undefined
    return key === undefined ? this.noText() : this.optionalText(key)
  }

  /** @param {unknown} value `undefined` where the session has no pre-key that waits to be confirmed */
  pending(value) {
    const { writer } = this
    if (value === undefined) {
      writer.u8(0)
      return true
    }
    if (!isPlain(value)) return false
    const count = leadingKeys(value, PENDING)
    if (count < PENDING.length - 1) return false
    const hasId = count === PENDING.length
    writer.u8(hasId ? 2 : 1)
    return writer.int(value.signedKeyId) && this.text(value.baseKey) && (!hasId || writer.int(value.preKeyId))
  }
}

/**
 * Appends a session of libsignal in packed form.
 * @param {Writer} writer
 * @param {unknown} value
 * @returns {boolean} false where it is anything else; what was appended by then is to be dropped
 */
function encodeSession(writer, value) {
  const start = writer.offset
  writer.u32(0)
  const encoder = new SessionEncoder(writer)
  if (!encoder.record(value)) return false
  writer.buffer.writeUInt32LE(writer.offset - start - 4, start)
  return writer.ascii(encoder.texts)
}

module.exports = { encodeSession }
