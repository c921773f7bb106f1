'use strict'

const { MAX_JOINED_TEXTS } = require('./limits.js')
const { isPlain, owns } = require('./plain.js')
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

/** Bytes that the numbers and lengths of an entry before its chains, or of a chain, take at most. */
const ROOM = 128

const EMPTY = {}

/**
 * Whether `for in` gives a plain object's own keys only: nobody has added a property to those of all objects. To be asked before user code
 * can run again; it costs less than to ask of each key whose it is.
 */
function isClean() {
  for (const _ in EMPTY) return false
  return true
}

/**
 * How many keys a plain object has, if they are the first of these, in this order; 0 where they are not.
 * @param {object} object
 * @param {readonly string[]} keys
 */
function leading(object, keys) {
  let count = 0
  for (const key in object) if (key !== keys[count++]) return 0
  return isClean() ? count : 0
}

/** Which of the fields of an entry before its chains are texts, in their order; the others are whole numbers. */
const IS_TEXT = [false, true, true, true, false, true, true, false, false, false, false, true]

/**
 * One walk over one session: reads each property once, writes the fields and collects the texts. User code may run at any read.
 * A method gives false where its part of the session has another shape.
 *
 * Of an object of known shape the properties are read before its prototype is asked for: by then V8 knows its hidden class, and the
 * prototype with it, where it would otherwise have to be called. And what could be many small functions is a few: in a process that sends a
 * message now and then V8 has not compiled much of this, and each call costs as much as what it does.
 */
class SessionEncoder {
  /** @param {Writer} writer */
  constructor(writer) {
    this.writer = writer
    /** All texts so far: joined, they take one check and one copy instead of one each. */
    this.texts = ''
    /** All fields so far as values. */
    this.fields = lendFields()
    /** How many they are. */
    this.count = 0
  }

  /**
   * Appends a text: its length to the fields, its characters to the texts.
   * @param {unknown} text
   */
  text(text) {
    if (typeof text !== 'string' || text.length > MAX_JOINED_TEXTS - this.texts.length) return false
    this.writer.varint(text.length)
    this.texts += text
    this.fields[this.count++] = text
    return true
  }

  /**
   * Appends a text that need not be there: its length and one more, since 0 stands for none.
   * @param {string} text
   */
  optionalText(text) {
    if (text.length > MAX_JOINED_TEXTS - this.texts.length) return false
    this.writer.varint(text.length + 1)
    this.texts += text
    this.fields[this.count++] = text
    return true
  }

  /** Appends that there is no text, or no further one. */
  noText() {
    this.writer.u8(0)
    this.fields[this.count++] = undefined
    return true
  }

  /** @param {any} value */
  int(value) {
    // As it comes back: there is no negative zero.
    this.fields[this.count++] = value === 0 ? 0 : value
    return this.writer.int(value)
  }

  /** @param {any} value */
  record(value) {
    if (typeof value !== 'object' || value === null) return false
    const { _sessions: sessions, version } = value
    if (getPrototypeOf(value) !== PLAIN || leading(value, RECORD) !== RECORD.length) return false
    if (!isPlain(sessions) || !this.text(version) || !isClean()) return false
    for (const id in sessions) {
      if (!this.optionalText(id) || !this.entry(sessions[id])) return false
    }
    return this.noText()
  }

  /** @param {any} entry */
  entry(entry) {
    if (!isPlain(entry)) return false
    const count = leading(entry, ENTRY)
    if (count < ENTRY.length - 1) return false
    const { registrationId, currentRatchet, indexInfo, _chains: chains } = entry
    if (typeof currentRatchet !== 'object' || currentRatchet === null || typeof indexInfo !== 'object' || indexInfo === null) return false
    const { ephemeralKeyPair, lastRemoteEphemeralKey, previousCounter, rootKey } = /** @type {any} */ (currentRatchet)
    if (getPrototypeOf(currentRatchet) !== PLAIN || leading(currentRatchet, RATCHET) !== RATCHET.length) return false
    if (typeof ephemeralKeyPair !== 'object' || ephemeralKeyPair === null) return false
    const { pubKey, privKey } = /** @type {any} */ (ephemeralKeyPair)
    if (getPrototypeOf(ephemeralKeyPair) !== PLAIN || leading(ephemeralKeyPair, KEY_PAIR) !== KEY_PAIR.length) return false
    const { baseKey, baseKeyType, closed, used, created, remoteIdentityKey } = /** @type {any} */ (indexInfo)
    if (getPrototypeOf(indexInfo) !== PLAIN || leading(indexInfo, INDEX) !== INDEX.length) return false
    const { fields } = this
    const at = this.count
    fields[at] = /** @type {any} */ (registrationId)
    fields[at + 1] = pubKey
    fields[at + 2] = privKey
    fields[at + 3] = lastRemoteEphemeralKey
    fields[at + 4] = previousCounter
    fields[at + 5] = rootKey
    fields[at + 6] = baseKey
    fields[at + 7] = baseKeyType
    fields[at + 8] = closed
    fields[at + 9] = used
    fields[at + 10] = created
    fields[at + 11] = remoteIdentityKey
    return this.write(at) && this.chains(chains) && this.pending(count === ENTRY.length ? entry.pendingPreKey : undefined)
  }

  /**
   * Writes the fields of an entry before its chains.
   * @param {number} first place of the first of them
   */
  write(first) {
    const { writer, fields } = this
    let { texts } = this
    if (writer.buffer.length - writer.offset < ROOM) writer.ensure(ROOM)
    const { buffer } = writer
    let at = writer.offset
    for (let i = 0; i < IS_TEXT.length; i++) {
      const field = fields[first + i]
      if (IS_TEXT[i]) {
        if (typeof field !== 'string' || field.length > MAX_JOINED_TEXTS - texts.length) return false
        texts += field
        if (field.length < 128) {
          buffer[at++] = field.length
          continue
        }
        writer.offset = at
        writer.longVarint(field.length)
      } else {
        // There is no negative zero.
        if (field === 0) fields[first + i] = 0
        if (typeof field === 'number' && field >= 0 && field < 64 && (field | 0) === field) {
          buffer[at++] = field * 2
          continue
        }
        writer.offset = at
        if (!writer.int(field)) return false
      }
      at = writer.offset
    }
    writer.offset = at
    this.texts = texts
    this.count = first + IS_TEXT.length
    return true
  }

  /** @param {any} chains */
  chains(chains) {
    if (!isPlain(chains) || !isClean()) return false
    const { writer, fields } = this
    let { texts, count } = this
    for (const id in chains) {
      const chain = chains[id]
      if (typeof chain !== 'object' || chain === null) return false
      const { chainKey, chainType, messageKeys } = /** @type {any} */ (chain)
      if (typeof chainKey !== 'object' || chainKey === null) return false
      const { counter, key } = chainKey
      if (getPrototypeOf(chain) !== PLAIN || getPrototypeOf(chainKey) !== PLAIN) return false
      let place = 0
      for (const name in chain) if (name !== CHAIN[place++]) return false
      if (place !== 3) return false
      place = 0
      // A chain that is used up has its key set to undefined, which JSON drops, or has none.
      for (const name in chainKey) if (name !== CHAIN_KEY[place++]) return false
      if (place === 0 || !isClean()) return false
      const idLength = id.length + 1
      let keyLength = 0
      if (key !== undefined) {
        if (typeof key !== 'string') return false
        keyLength = key.length + 1
      }
      if (idLength + keyLength > MAX_JOINED_TEXTS - texts.length) return false
      if (writer.buffer.length - writer.offset < ROOM) writer.ensure(ROOM)
      const { buffer, offset } = writer
      if (isSmall(chainType) && isSmall(counter) && idLength < 128 && keyLength < 128) {
        // Nearly always: a byte each, as the others would write them.
        buffer[offset] = idLength
        buffer[offset + 1] = chainType * 2
        buffer[offset + 2] = counter * 2
        buffer[offset + 3] = keyLength
        writer.offset = offset + 4
      } else {
        writer.varint(idLength)
        if (!writer.int(chainType) || !writer.int(counter)) return false
        writer.varint(keyLength)
      }
      fields[count] = id
      // As they come back: there is no negative zero.
      fields[count + 1] = chainType === 0 ? 0 : chainType
      fields[count + 2] = counter === 0 ? 0 : counter
      fields[count + 3] = key
      count += 4
      texts = key === undefined ? texts + id : texts + id + key
      // By number, so that nearly all of them have one hidden class: numbers are no part of it. That is also what is asked for first here,
      // so that V8 looks at that class.
      if (typeof messageKeys !== 'object' || messageKeys === null || messageKeys.toJSON !== undefined) return false
      if (getPrototypeOf(messageKeys) !== PLAIN) return false
      for (const number in messageKeys) {
        this.texts = texts
        this.count = count
        if (!owns(messageKeys, number) || !this.optionalText(number) || !this.text(messageKeys[number])) return false
        ;({ texts, count } = this)
      }
      writer.u8(0)
      fields[count++] = undefined
    }
    this.texts = texts
    this.count = count
    return this.noText()
  }

  /** @param {unknown} value `undefined` where the session has no pre-key that waits to be confirmed */
  pending(value) {
    if (value === undefined) return this.int(0)
    if (!isPlain(value)) return false
    const count = leading(value, PENDING)
    if (count < PENDING.length - 1) return false
    const hasId = count === PENDING.length
    this.writer.u8(hasId ? 2 : 1)
    this.fields[this.count++] = hasId ? 2 : 1
    return this.int(value.signedKeyId) && this.text(value.baseKey) && (!hasId || this.int(value.preKeyId))
  }
}

/**
 * Whether a number is written as one byte.
 * @param {unknown} value
 * @returns {value is number}
 */
function isSmall(value) {
  return typeof value === 'number' && value >= 0 && value < 64 && (value | 0) === value
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
    returnFields(encoder.fields)
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
  const length = writer.offset - start - 4
  const { buffer } = writer
  buffer[start] = length
  buffer[start + 1] = length >>> 8
  buffer[start + 2] = length >>> 16
  buffer[start + 3] = length >>> 24
  if (!writer.ascii(encoder.texts)) return false
  if (writer.isOfTransaction) rememberWritten(writer.buffer, start, writer.offset, encoder.fields.slice(0, encoder.count))
  return true
}

module.exports = { encodeSession }
