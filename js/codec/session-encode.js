'use strict'

const { MAX_JOINED_TEXTS } = require('./limits.js')
const { isObject, isPlain, owns, leadingKeys } = require('./plain.js')
const { rememberWritten } = require('./session-memo.js')

/** @typedef {import('./session-fields.js').Field} Field */
/** @typedef {import('./writer.js').Writer} Writer */

const { getPrototypeOf, prototype: PLAIN } = Object

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
 *
 * Of an object of known shape the properties are read before its prototype is asked for: by then V8 knows its hidden class, and the
 * prototype with it, where it would otherwise have to be called. That is a fifth of the time that a session takes.
 */
class SessionEncoder {
  /** @param {Writer} writer */
  constructor(writer) {
    this.writer = writer
    /** All texts so far: joined, they take one check and one copy instead of one each. */
    this.texts = ''
    /** All fields so far as values, where the session is to be remembered. @type {Field[] | undefined} */
    this.fields = writer.isOfTransaction ? lendFields() : undefined
    /** How many they are. */
    this.count = 0
  }

  /** @param {Field} field */
  keep(field) {
    if (this.fields) this.fields[this.count++] = field
  }

  /**
   * Appends a text: its length to the fields, its characters to the texts.
   * @param {unknown} text
   */
  text(text) {
    if (typeof text !== 'string' || text.length > MAX_JOINED_TEXTS - this.texts.length) return false
    this.writer.varint(text.length)
    this.texts += text
    this.keep(text)
    return true
  }

  /**
   * Appends a text that need not be there: its length and one more, since 0 stands for none.
   * @param {unknown} text
   */
  optionalText(text) {
    if (typeof text !== 'string' || text.length > MAX_JOINED_TEXTS - this.texts.length) return false
    this.writer.varint(text.length + 1)
    this.texts += text
    this.keep(text)
    return true
  }

  /** Appends that there is no text, or no further one. */
  noText() {
    this.writer.u8(0)
    this.keep(undefined)
    return true
  }

  /** @param {number} value */
  u8(value) {
    this.writer.u8(value)
    this.keep(value)
  }

  /** @param {unknown} value */
  int(value) {
    // As it comes back: there is no negative zero.
    this.keep(value === 0 ? 0 : /** @type {number} */ (value))
    return this.writer.int(value)
  }

  /** @param {unknown} value */
  record(value) {
    if (!isObject(value)) return false
    const { _sessions: sessions, version } = value
    if (getPrototypeOf(value) !== PLAIN || leadingKeys(value, RECORD) !== RECORD.length) return false
    if (!isPlain(sessions) || !this.text(version)) return false
    for (const id in sessions) {
      if (!owns(sessions, id) || !this.optionalText(id) || !this.entry(sessions[id])) return false
    }
    return this.noText()
  }

  /** @param {unknown} entry */
  entry(entry) {
    if (!isPlain(entry)) return false
    const count = leadingKeys(entry, ENTRY)
    if (count < ENTRY.length - 1) return false
    return (
      this.int(entry.registrationId) &&
      this.ratchet(entry.currentRatchet) &&
      this.index(entry.indexInfo) &&
      this.chains(entry._chains) &&
      this.pending(count === ENTRY.length ? entry.pendingPreKey : undefined)
    )
  }

  /** @param {unknown} ratchet */
  ratchet(ratchet) {
    if (!isObject(ratchet)) return false
    const { ephemeralKeyPair, lastRemoteEphemeralKey, previousCounter, rootKey } = ratchet
    return (
      getPrototypeOf(ratchet) === PLAIN &&
      leadingKeys(ratchet, RATCHET) === RATCHET.length &&
      this.keyPair(ephemeralKeyPair) &&
      this.text(lastRemoteEphemeralKey) &&
      this.int(previousCounter) &&
      this.text(rootKey)
    )
  }

  /** @param {unknown} pair */
  keyPair(pair) {
    if (!isObject(pair)) return false
    const { pubKey, privKey } = pair
    return getPrototypeOf(pair) === PLAIN && leadingKeys(pair, KEY_PAIR) === KEY_PAIR.length && this.text(pubKey) && this.text(privKey)
  }

  /** @param {unknown} index */
  index(index) {
    if (!isObject(index)) return false
    const { baseKey, baseKeyType, closed, used, created, remoteIdentityKey } = index
    return (
      getPrototypeOf(index) === PLAIN &&
      leadingKeys(index, INDEX) === INDEX.length &&
      this.text(baseKey) &&
      this.int(baseKeyType) &&
      this.int(closed) &&
      this.int(used) &&
      this.int(created) &&
      this.text(remoteIdentityKey)
    )
  }

  /** @param {unknown} chains */
  chains(chains) {
    if (!isPlain(chains)) return false
    for (const id in chains) {
      if (!owns(chains, id) || !this.chain(id, chains[id])) return false
    }
    return this.noText()
  }

  /**
   * Most of a session are chains, so this one does by itself what it could leave to others.
   * @param {string} id
   * @param {unknown} chain
   */
  chain(id, chain) {
    if (!isObject(chain)) return false
    const { chainKey, chainType, messageKeys } = chain
    if (getPrototypeOf(chain) !== PLAIN || leadingKeys(chain, CHAIN) !== CHAIN.length || !isObject(chainKey)) return false
    const { counter } = chainKey
    if (getPrototypeOf(chainKey) !== PLAIN) return false
    const count = leadingKeys(chainKey, CHAIN_KEY)
    if (count === 0) return false
    // A chain that is used up has its key set to undefined, which JSON drops.
    const key = count === CHAIN_KEY.length ? chainKey.key : undefined
    const { writer, texts } = this
    const room = MAX_JOINED_TEXTS - texts.length - id.length
    if (room < 0) return false
    if (key !== undefined && (typeof key !== 'string' || key.length > room)) return false
    const idLength = id.length + 1
    const keyLength = key === undefined ? 0 : key.length + 1
    const { buffer, offset } = writer
    if (isSmall(chainType) && isSmall(counter) && idLength < 128 && keyLength < 128 && offset + 4 <= buffer.length) {
      // Nearly always: a byte each, as the others would write them.
      buffer[offset] = idLength
      buffer[offset + 1] = chainType * 2
      buffer[offset + 2] = counter * 2
      buffer[offset + 3] = keyLength
      writer.offset = offset + 4
      const { fields } = this
      if (fields) {
        const at = this.count
        fields[at] = id
        fields[at + 1] = chainType
        fields[at + 2] = counter
        fields[at + 3] = key
        this.count = at + 4
      }
    } else {
      writer.varint(idLength)
      this.keep(id)
      if (!this.int(chainType) || !this.int(counter)) return false
      writer.varint(keyLength)
      this.keep(key)
    }
    this.texts = key === undefined ? texts + id : texts + id + key
    return this.messageKeys(messageKeys)
  }

  /** @param {unknown} messageKeys by number, so that nearly all of them have one hidden class: numbers are no part of it */
  messageKeys(messageKeys) {
    // Also what makes V8 look at that class.
    if (!isObject(messageKeys) || messageKeys.toJSON !== undefined || getPrototypeOf(messageKeys) !== PLAIN) return false
    for (const number in messageKeys) {
      if (!owns(messageKeys, number) || !this.optionalText(number) || !this.text(messageKeys[number])) return false
    }
    return this.noText()
  }

  /** @param {unknown} value `undefined` where the session has no pre-key that waits to be confirmed */
  pending(value) {
    if (value === undefined) {
      this.u8(0)
      return true
    }
    if (!isPlain(value)) return false
    const count = leadingKeys(value, PENDING)
    if (count < PENDING.length - 1) return false
    const hasId = count === PENDING.length
    this.u8(hasId ? 2 : 1)
    return this.int(value.signedKeyId) && this.text(value.baseKey) && (!hasId || this.int(value.preKeyId))
  }
}

/**
 * Whether a number is written as one byte.
 * @param {unknown} value
 * @returns {value is number}
 */
function isSmall(value) {
  return typeof value === 'number' && value >= 0 && value < 64 && (value | 0) === value && !Object.is(value, -0)
}

/** Where fields are gathered: most sessions have as many as the one before. Absent while it is lent. @type {Field[] | undefined} */
let gathered = []
const KEPT_FIELDS = 1024

/** @returns {Field[]} a list of any length, to be filled from its start */
function lendFields() {
  const fields = gathered ?? []
  gathered = undefined
  return fields
}

/** @param {Field[]} fields */
function returnFields(fields) {
  // What user code has encoded meanwhile has had a list of its own.
  gathered ??= fields.length <= KEPT_FIELDS ? fields : []
}

/**
 * Appends a session of libsignal in packed form.
 * @param {Writer} writer
 * @param {unknown} value
 * @returns {boolean} false where it is anything else; what was appended by then is to be dropped
 */
function encodeSession(writer, value) {
  const encoder = new SessionEncoder(writer)
  try {
    return encodeWith(encoder, value)
  } finally {
    if (encoder.fields) returnFields(encoder.fields)
  }
}

/**
 * @param {SessionEncoder} encoder
 * @param {unknown} value
 */
function encodeWith(encoder, value) {
  const { writer } = encoder
  const start = writer.offset
  writer.u32(0)
  if (!encoder.record(value)) return false
  writer.buffer.writeUInt32LE(writer.offset - start - 4, start)
  if (!writer.ascii(encoder.texts)) return false
  if (encoder.fields) rememberWritten(writer.buffer, start, writer.offset, encoder.fields.slice(0, encoder.count))
  return true
}

module.exports = { encodeSession }
