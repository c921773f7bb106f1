'use strict'

const {
  binding, port, FAILED, LATER, OVERFLOWED, ticket, settled, lastError, borrowWriter, returnWriter, inScratch, takeOverflow
} = require('./port.js')
const { decodeValue } = require('./codec/decode.js')
const { CREDS } = require('./codec/families.js')
const { setOwn } = require('./codec/set-own.js')
const { CaskError } = require('./errors.js')
const { packBatch, packClear, packCreds, packIds, packPrefix } = require('./requests.js')

/** @typedef {import('./codec/writer.js').Writer} Writer */
/** @typedef {import('./codec/decode.js').DecodeHooks} DecodeHooks */

/** Length that stands for an absent value. */
const ABSENT = 0xffffffff
/** Ids whose values one step of a listing reads. */
const LISTED_AT_ONCE = 64

/**
 * Reads and writes of one account, committed or inside one transaction. One crossing into the core per call.
 */
class RecordAccess {
  /**
   * @param {number} account handle of the account
   * @param {number} transaction handle of the transaction; 0 for committed state
   * @param {DecodeHooks} hooks
   */
  constructor(account, transaction, hooks) {
    this.account = account
    this.transaction = transaction
    this.hooks = hooks
  }

  /**
   * Reads values; absent ids are omitted.
   * @param {unknown} family
   * @param {unknown} ids
   * @returns {Record<string, unknown>}
   */
  get(family, ids) {
    const writer = borrowWriter()
    try {
      const { code, keys } = packIds(writer, family, ids)
      /** @type {Record<string, unknown>} */
      const values = {}
      if (keys.length === 0) return values
      this.#read(writer, keys, code, values)
      return values
    } finally {
      returnWriter(writer)
    }
  }

  /** The account's creds; `undefined` where there are none. */
  getCreds() {
    const writer = borrowWriter()
    try {
      writer.u16(1)
      writer.u8(CREDS)
      /** @type {Record<string, unknown>} */
      const values = {}
      this.#read(writer, ['creds'], CREDS, values)
      return values.creds
    } finally {
      returnWriter(writer)
    }
  }

  /**
   * @param {Writer} writer
   * @param {string[]} ids
   * @param {number} code
   * @param {Record<string, unknown>} values
   */
  #read(writer, ids, code, values) {
    const length = writer.offset
    const direct = inScratch(writer)
    const answered = direct
      ? binding.get(port, this.account, this.transaction, length)
      : binding.getFrom(port, this.account, this.transaction, writer.buffer.subarray(0, length))
    if (answered === FAILED) throw lastError()
    const overflowed = answered === OVERFLOWED
    const buffer = overflowed ? takeOverflow() : writer.buffer
    let at = overflowed ? 0 : length
    for (let i = 0; i < ids.length; i++) {
      const size = buffer.readUInt32LE(at)
      at += 4
      if (size === ABSENT) continue
      setOwn(values, /** @type {string} */ (ids[i]), decodeValue(buffer, at, at + size, code, this.hooks))
      at += size
    }
  }

  /**
   * Writes one atomic batch.
   * @param {unknown} data
   */
  set(data) {
    return this.#write((writer) => packBatch(writer, data))
  }

  /** Removes every record. */
  clear() {
    return this.#write(packClear)
  }

  /** @param {unknown} creds */
  setCreds(creds) {
    return this.#write((writer) => packCreds(writer, creds))
  }

  /**
   * @param {(writer: Writer) => void} pack
   * @returns {Promise<unknown> | undefined} a promise only where something has to be waited for
   */
  #write(pack) {
    const writer = borrowWriter()
    try {
      pack(writer)
      const length = writer.offset
      if (length === 0) return undefined
      const answered = inScratch(writer)
        ? binding.set(port, this.account, this.transaction, length, ticket())
        : binding.setFrom(port, this.account, this.transaction, writer.buffer.subarray(0, length), ticket())
      if (answered === FAILED) throw lastError()
      return answered === LATER ? settled() : undefined
    } finally {
      returnWriter(writer)
    }
  }

  /**
   * Ids of one family, as of this call.
   * @param {unknown} family
   * @returns {string[]}
   */
  ids(family) {
    const writer = borrowWriter()
    let prefix
    try {
      packPrefix(writer, family)
      prefix = Buffer.from(writer.buffer.subarray(0, writer.offset))
    } finally {
      returnWriter(writer)
    }
    const answered = binding.keys(port, this.account, this.transaction, prefix)
    if (answered === FAILED) throw lastError()
    if (answered !== OVERFLOWED) return []
    const buffer = takeOverflow()
    const ids = []
    for (let at = 0; at < buffer.length;) {
      const size = buffer.readUInt16LE(at)
      at += 2
      ids.push(buffer.toString('utf8', at + prefix.length, at + size))
      at += size
    }
    return ids
  }

  /**
   * Ids of one family as of this call, one by one.
   * @param {unknown} family
   * @returns {AsyncIterable<string>}
   */
  listIds(family) {
    return later(() => this.ids(family), async function* (ids) {
      yield* ids
    })
  }

  /**
   * Records of one family: ids as of this call, each value as committed when it is reached.
   * @param {unknown} family
   * @returns {AsyncIterable<[string, unknown]>}
   */
  list(family) {
    const read = (/** @type {string[]} */ ids) => this.get(family, ids)
    return later(() => this.ids(family), async function* (ids) {
      for (let from = 0; from < ids.length; from += LISTED_AT_ONCE) {
        const values = read(ids.slice(from, from + LISTED_AT_ONCE))
        for (const id of Object.keys(values)) yield [id, values[id]]
      }
    })
  }
}

/**
 * Takes a snapshot now and walks over it later; a failure of the snapshot is thrown by the first step.
 * @template S, T
 * @param {() => S} snapshot
 * @param {(taken: S) => AsyncGenerator<T, void>} walk
 * @returns {AsyncGenerator<T, void>}
 */
function later(snapshot, walk) {
  /** @type {() => S} */
  let taken
  try {
    const present = snapshot()
    taken = () => present
  } catch (error) {
    taken = () => {
      throw error
    }
  }
  return (async function* () {
    yield* walk(taken())
  })()
}

/**
 * Refuses what comes after `close()`.
 * @returns {CaskError}
 */
function closedError() {
  return new CaskError('ERR_CASK_CLOSED', 'the cask is closed; open it again')
}

module.exports = { RecordAccess, closedError }
