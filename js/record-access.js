'use strict'

const {
  binding, calls, port, FAILED, LATER, WAITS, OVERFLOWED, READ_LATER, READ_WAITS, ticket, settled, lastError, borrowWriter, returnWriter,
  inScratch, takeOverflow
} = require('./port.js')
const { decodeValue } = require('./codec/decode.js')
const { CREDS } = require('./codec/families.js')
const { singleEntry } = require('./codec/dictionary.js')
const { packBatch, packClear, packCreds, packCredsKey, packId, packIds, packPrefix } = require('./requests.js')

/** @typedef {import('./codec/writer.js').Writer} Writer */
/** @typedef {import('./codec/decode.js').DecodeHooks} DecodeHooks */

/**
 * Whoever makes calls on records: an account, or a transaction.
 * @typedef {object} Caller
 * @property {() => Promise<number>} wait waits for the locks of the call before; gives its ticket
 * @property {() => import('./stacks.js').Stack | undefined} callStack where the call before was made, where that is to be kept
 * @property {<T>(work: () => T | Promise<T>, called: Function | import('./stacks.js').Stack) => Promise<T>} call checks and counts a call
 */

/** Length that stands for an absent value. */
const ABSENT = 0xffffffff

/**
 * Reads and writes of one account, committed or inside one transaction. One crossing into the core per call.
 */
class RecordAccess {
  /**
   * @param {number} account handle of the account
   * @param {number} transaction handle of the transaction; 0 for committed state
   * @param {DecodeHooks} hooks
   * @param {Caller} [caller]
   */
  constructor(account, transaction, hooks, caller = NOBODY) {
    this.account = account
    this.transaction = transaction
    this.hooks = hooks
    this.caller = caller
  }

  /**
   * Reads values; absent ids are omitted. Gives a promise only where the disk has to be waited for.
   * @param {unknown} family
   * @param {unknown} ids
   * @returns {Record<string, unknown> | Promise<Record<string, unknown>>}
   */
  get(family, ids) {
    const writer = borrowWriter()
    try {
      // One id is the common case, and needs no list.
      if (Array.isArray(ids) && ids.length === 1) {
        const id = ids[0]
        return this.#readOne(writer, id, packId(writer, family, id))
      }
      const { code, keys } = packIds(writer, family, ids)
      return keys.length === 0 ? {} : this.#read(writer, keys, code)
    } finally {
      returnWriter(writer)
    }
  }

  /** The account's creds; `undefined` where there are none. */
  async getCreds() {
    const writer = borrowWriter()
    let read
    try {
      packCredsKey(writer)
      read = this.#read(writer, ['creds'], CREDS)
    } finally {
      returnWriter(writer)
    }
    return (await read).creds
  }

  /**
   * @param {Writer} writer
   * @param {string[]} ids
   * @param {number} code
   */
  #read(writer, ids, code) {
    const length = writer.offset
    const answered = this.#ask(writer, length)
    if (answered >= 0) return decodeAnswer(writer.buffer, length, ids, code, this.hooks)
    if (answered === OVERFLOWED) return decodeAnswer(takeOverflow(), 0, ids, code, this.hooks)
    if (answered === READ_LATER || answered === READ_WAITS) return this.#readLater(ids, code, answered)
    throw lastError()
  }

  /**
   * @param {Writer} writer
   * @param {string} id
   * @param {number} code
   */
  #readOne(writer, id, code) {
    const length = writer.offset
    const answered = this.#ask(writer, length)
    // A length before the value, or instead of it.
    if (answered > 4) return singleEntry(id, decodeValue(writer.buffer, length + 4, length + answered, code, this.hooks))
    if (answered === 4) return {}
    if (answered === OVERFLOWED) return decodeAnswer(takeOverflow(), 0, [id], code, this.hooks)
    if (answered === READ_LATER || answered === READ_WAITS) return this.#readLater([id], code, answered)
    throw lastError()
  }

  /**
   * @param {Writer} writer
   * @param {number} length of the request
   * @returns {number} length of the answer behind it, or what it is instead
   */
  #ask(writer, length) {
    return inScratch(writer)
      ? calls.get(port, this.account, this.transaction, length, ticket())
      : binding.getFrom(port, this.account, this.transaction, writer.buffer.subarray(0, length), ticket())
  }

  /**
   * @param {string[]} ids
   * @param {number} code
   * @param {number} answered
   */
  async #readLater(ids, code, answered) {
    binding.ticketAnswer(port, await this.#later(answered === READ_WAITS))
    return decodeAnswer(takeOverflow(), 0, ids, code, this.hooks)
  }

  /**
   * Waits for the call before.
   * @param {boolean} isForLocks
   */
  #later(isForLocks) {
    return isForLocks ? this.caller.wait() : settled(this.caller.callStack())
  }

  /**
   * What this transaction sees, read without taking part in it: without locks.
   * @returns {RecordAccess}
   */
  aside() {
    return new RecordAccess(this.account, -Math.abs(this.transaction), this.hooks, this.caller)
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
   * @param {(access: RecordAccess, bytes: Buffer | number) => number} [write] hands over what was packed, or its length in the scratch
   * buffer
   * @returns {Promise<unknown> | undefined} a promise only where something has to be waited for
   */
  #write(pack, write = put) {
    const writer = borrowWriter()
    writer.isOfTransaction = this.transaction !== 0
    try {
      pack(writer)
      const length = writer.offset
      if (length === 0) return undefined
      const answered = write(this, inScratch(writer) ? length : writer.buffer.subarray(0, length))
      if (answered === FAILED) throw lastError()
      return answered === LATER || answered === WAITS ? this.#later(answered === WAITS) : undefined
    } finally {
      returnWriter(writer)
    }
  }

  /**
   * Saves creds from inside this transaction and not as part of it.
   * @param {unknown} creds
   */
  saveCreds(creds) {
    return this.#write((writer) => packCreds(writer, creds), putCreds)
  }

  /**
   * Ids of one family, as of this call.
   * @param {unknown} family
   * @returns {string[] | Promise<string[]>}
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
    const answered = binding.keys(port, this.account, this.transaction, prefix, ticket())
    if (answered === FAILED) throw lastError()
    if (answered === READ_WAITS) return this.#idsLater(prefix)
    return answered === OVERFLOWED ? decodeIds(takeOverflow(), prefix.length) : []
  }

  /** @param {Buffer} prefix */
  async #idsLater(prefix) {
    binding.ticketAnswer(port, await this.#later(true))
    return decodeIds(takeOverflow(), prefix.length)
  }

  /**
   * Ids of one family as of this call, one by one.
   * @param {unknown} family
   * @param {Function} [called] the function below the caller
   * @returns {AsyncIterable<string>}
   */
  listIds(family, called = this.listIds) {
    return later(this.caller.call(() => this.ids(family), called), async function* (ids) {
      yield* ids
    })
  }

  /**
   * Records of one family: ids as of this call, each value as committed when it is reached.
   * @param {unknown} family
   * @param {Function} [called] the function below the caller
   * @returns {AsyncIterable<[string, unknown]>}
   */
  list(family, called = this.list) {
    // The lock of the family covers its records.
    const records = this.transaction === 0 ? this : new RecordAccess(-this.account, -this.transaction, this.hooks, this.caller)
    const read = (/** @type {string} */ id) => this.caller.call(() => records.get(family, [id]), called)
    return later(this.caller.call(() => this.ids(family), called), async function* (ids) {
      // One at a time: what is removed or changed while the walk stands at another record counts.
      for (const id of ids) {
        const values = await read(id)
        if (Object.hasOwn(values, id)) yield [id, values[id]]
      }
    })
  }
}

/**
 * @param {RecordAccess} access
 * @param {Buffer | number} packed
 */
function put({ account, transaction }, packed) {
  return typeof packed === 'number'
    ? calls.set(port, account, transaction, packed, ticket())
    : binding.setFrom(port, account, transaction, packed, ticket())
}

/**
 * @param {RecordAccess} access
 * @param {Buffer | number} packed
 */
function putCreds({ transaction }, packed) {
  return typeof packed === 'number'
    ? binding.saveCreds(port, transaction, packed, ticket())
    : binding.saveCredsFrom(port, transaction, packed, ticket())
}

/** @type {Caller} */
const NOBODY = {
  wait: settled,
  callStack: () => undefined,
  call: async (work) => work()
}

/**
 * @param {Buffer} buffer
 * @param {number} prefixLength bytes of each key before its id
 * @returns {string[]}
 */
function decodeIds(buffer, prefixLength) {
  const ids = []
  for (let at = 0; at < buffer.length;) {
    const size = buffer.readUInt16LE(at)
    at += 2
    ids.push(buffer.toString('utf8', at + prefixLength, at + size))
    at += size
  }
  return ids
}

/**
 * @param {Buffer} buffer
 * @param {number} at where the answer begins
 * @param {string[]} ids
 * @param {number} code
 * @param {DecodeHooks} hooks
 */
function decodeAnswer(buffer, at, ids, code, hooks) {
  /** @type {Record<string, unknown>} */
  const values = Object.create(null)
  for (let i = 0; i < ids.length; i++) {
    const size = buffer.readUInt32LE(at)
    at += 4
    if (size === ABSENT) continue
    values[/** @type {string} */ (ids[i])] = decodeValue(buffer, at, at + size, code, hooks)
    at += size
  }
  // Last, since only without a prototype `__proto__` is a key like any other. See `dictionary` for why it is no `{}`.
  return Object.setPrototypeOf(values, Object.prototype)
}

/**
 * Walks over a snapshot that was asked for now; a failure of it is thrown by the first step.
 * @template S, T
 * @param {Promise<S>} snapshot
 * @param {(taken: S) => AsyncGenerator<T, void>} walk
 * @returns {AsyncGenerator<T, void>}
 */
function later(snapshot, walk) {
  // Whoever never takes a step does not want to know.
  snapshot.catch(() => {})
  return (async function* () {
    yield* walk(await snapshot)
  })()
}

module.exports = { RecordAccess }
