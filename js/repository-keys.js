'use strict'

const { setTimeout: sleep } = require('node:timers/promises')
const { NO_TRANSACTION, running, shared } = require('./context.js')
const { atCaller } = require('./errors.js')
const { ALL_READS, INDEPENDENT, planFor, planWith, readsOf } = require('./transaction-options.js')

/** @typedef {import('./account.js').AccountState} AccountState */
/** @typedef {import('./context.js').Context} Context */
/** @typedef {import('./transaction.js').TransactionState} TransactionState */
/** @typedef {import('./transaction-options.js').Plan} Plan */
/** @typedef {(work: unknown, makePlan: () => Plan, settings: number, called: Function) => Promise<any>} Begin */

/**
 * Runs the work of a transaction that a call of the repository has begun, with the records of its ratchets claimed. `claim` gives a promise
 * only where something has to be waited for: most often nothing has, and promises are what such a call costs.
 * @typedef {(claim: (family: string, id: string) => Promise<unknown> | undefined, work: () => unknown) => unknown} Prepare
 */

/** What Baileys answers from its own caches anyway. */
const CACHED_BY_BAILEYS = readsOf(['lid-mapping', 'device-list'])
/** A ratchet step is stored before its ciphertext leaves, and stays when the send around it fails. */
const REPOSITORY = (ALL_READS & ~CACHED_BY_BAILEYS) | INDEPENDENT

/** A transaction that was a deadlock's victim is run again so many times: it reads everything again. */
const RETRIES = 5
const MAX_JITTER_MS = 10

/** The ratchets of one transaction: locked, and read, before its work began. They are one or two. */
class Claim {
  /** Whether its work has read the ratchet, as every job does first. */
  hasBegun = false
  /** @type {{ family: string, id: string, read: Record<string, unknown> | undefined }[]} */
  #records = []

  /**
   * Locks a record and reads it.
   * @param {TransactionState} transaction
   * @param {string} family
   * @param {string} id
   * @returns {Promise<unknown> | undefined} a promise where that has to be waited for
   */
  add(transaction, family, id) {
    const record = { family, id, read: /** @type {Record<string, unknown> | undefined} */ (undefined) }
    /** @type {unknown} */
    let answer
    const called = transaction.call(() => (answer = transaction.records.get(family, [id])), this.add)
    if (answer !== undefined && !(answer instanceof Promise)) {
      record.read = /** @type {any} */ (answer)
      this.#records.push(record)
      return undefined
    }
    return called.then((read) => {
      record.read = /** @type {any} */ (read)
      this.#records.push(record)
    })
  }

  /**
   * @param {string} family
   * @param {unknown} id
   */
  covers(family, id) {
    return this.#find(family, id) !== undefined
  }

  /**
   * What was read already; the first time only, since whoever gets it may change it.
   * @param {string} family
   * @param {string[]} ids
   */
  take(family, ids) {
    this.hasBegun = true
    const record = ids?.length === 1 ? this.#find(family, ids[0]) : undefined
    const read = record?.read
    if (record) record.read = undefined
    return read
  }

  /** Something is written: what was read before may be old. */
  spoil() {
    for (const record of this.#records) record.read = undefined
  }

  /**
   * @param {string} family
   * @param {unknown} id
   */
  #find(family, id) {
    for (const record of this.#records) if (record.id === id && record.family === family) return record
    return undefined
  }
}

/**
 * Keys of a Signal repository. Its transactions are independent; outside of them its calls take no part in the socket's.
 *
 * Which transaction a call belongs to is not always told by its async context. libsignal keeps one queue per Signal address (6.7 also one per
 * group and author) for all accounts of a thread, and runs the jobs of a queue one after the other in the context of whoever put in the first
 * one: of another account, or of a socket that has nothing to do with a cask. So `enter` marks the calls of the repository's methods, and each
 * transaction claims the records of its ratchets before its work enters a queue. A call that comes in no known context, and is about
 * a claimed record, belongs to whom has claimed it. There are several only where one was given up by a limit and its job still waits or
 * runs: then they take turns in the order of their claims, as in the queue.
 *
 * No circle can lead through such a queue. Whoever enters it has its label and has claimed its records, so that inside of a job nothing waits
 * for a lock, and neither for the network: the LID of an address is looked up before (see `repository-calls.js`). Every job ends by itself, and
 * so everybody in a queue gets through, whatever they hold meanwhile; and accounts do not wait for each other's locks or network in it.
 * @param {AccountState} account
 * @param {Begin} begin
 */
function makeRepositoryKeys(account, begin) {
  const { cask, key, records } = account
  /** Claims of transactions whose work has not ended, the oldest first. @type {Map<TransactionState, Claim>} */
  const claims = new Map()

  /**
   * The repository's transaction that a call on a record is part of.
   * @param {string} family
   * @param {unknown} id
   * @param {boolean} isRead of a ratchet, as every job begins
   * @returns {TransactionState | undefined}
   */
  const ownOf = (family, id, isRead) => {
    const level = levelOf(key)
    const own = level?.transaction.role === 'repository' ? level.transaction : undefined
    if (own ? !own.doomedBy : isCall(level)) return own
    let latest
    for (const [transaction, claim] of claims) {
      if (!claim.covers(family, id)) continue
      if (claim.hasBegun) latest = transaction
      else if (isRead) return transaction
    }
    return latest ?? own
  }

  /**
   * A call outside of the repository's transactions.
   * @template T
   * @param {() => T | Promise<T>} call
   * @param {Function} called
   * @returns {Promise<T>}
   */
  const outside = (call, called) => {
    try {
      if (running(key)) cask.checkOpen()
      else cask.check()
      account.called = called
      return Promise.resolve(call())
    } catch (error) {
      return Promise.reject(atCaller(error, called))
    }
  }

  /**
   * @param {any} work
   * @param {() => Plan} makePlan
   * @param {Function} called
   */
  const transact = (work, makePlan, called) => {
    const level = levelOf(key)
    const { prepare } = /** @type {any} */ (level ?? {})
    if (prepare && typeof work === 'function') return retried(() => begin((/** @type {any} */ tx) => claiming(tx, prepare, work), makePlan, REPOSITORY, called))
    // What is inside of it may write what it has read.
    if (level) claims.get(level.transaction)?.spoil()
    return retried(() => begin(work, makePlan, REPOSITORY, called))
  }

  /**
   * @param {any} tx
   * @param {Prepare} prepare
   * @param {(tx: any) => unknown} work
   */
  const claiming = (tx, prepare, work) => {
    const transaction = /** @type {TransactionState} */ (running(key))
    const claim = new Claim()
    const end = () => claims.delete(transaction)
    claims.set(transaction, claim)
    try {
      const result = prepare((family, id) => claim.add(transaction, family, id), () => work(tx))
      if (typeof (/** @type {any} */ (result)?.then) === 'function') Promise.resolve(result).then(end, end)
      else end()
      return result
    } catch (error) {
      end()
      throw error
    }
  }

  /** @type {any} */
  const keys = {
    get: (/** @type {any} */ family, /** @type {any} */ ids) => {
      const transaction = ownOf(family, ids?.[0], family !== 'pre-key')
      if (transaction) {
        const read = claims.get(transaction)?.take(family, ids)
        return read && !transaction.doomedBy ? Promise.resolve(read) : transaction.get(family, ids, keys.get)
      }
      const other = running(key)
      const seen = other && !other.doomedBy ? other.records.aside() : records
      return outside(() => seen.get(family, ids), keys.get)
    },
    set: (/** @type {any} */ data) => {
      const [family, id] = firstOf(data)
      const transaction = ownOf(family, id, false)
      if (transaction) {
        claims.get(transaction)?.spoil()
        return transaction.set(data, keys.set)
      }
      const other = running(key)
      if (!other || other.doomedBy) return outside(() => records.set(data), keys.set)
      // At once, and under what the socket's transaction has locked.
      return retried(() => begin((/** @type {any} */ tx) => tx.set(data), () => planFor(undefined, undefined), REPOSITORY, keys.set))
    },
    isInTransaction: () => levelOf(key)?.transaction.role === 'repository',
    transaction: (/** @type {any} */ work, /** @type {any} */ label, /** @type {any} */ options) =>
      transact(work, () => planFor(label, options), keys.transaction),
    transactWith: (/** @type {any} */ scope, /** @type {any} */ work, /** @type {any} */ options) =>
      transact(work, () => planWith(scope, options), keys.transactWith)
  }

  /**
   * Runs a call of one of the repository's methods.
   * @template T
   * @param {() => T} call
   * @param {Prepare} [prepare] for the first transaction that it begins
   * @returns {T}
   */
  const enter = (call, prepare) => {
    const level = { account: key, transaction: NO_TRANSACTION, outer: shared.storage.getStore(), isCall: true, prepare }
    return shared.storage.run(level, call)
  }

  return { keys, enter }
}

/**
 * The innermost level of an account around the current call that counts: a call of its repository, or a transaction that runs.
 * @param {string} account
 * @returns {Context | undefined}
 */
function levelOf(account) {
  for (let context = shared.storage.getStore(); context; context = context.outer) {
    if (context.account === account && (context.transaction.phase === 'running' || isCall(context))) return context
  }
  return undefined
}

/** @param {any} level */
function isCall(level) {
  return level?.isCall === true
}

/**
 * The first record of a batch.
 * @param {any} data
 * @returns {[string, string | undefined]}
 */
function firstOf(data) {
  for (const family in data) for (const id in data[family]) return [family, id]
  return ['', undefined]
}

/**
 * Runs a transaction again where it was a deadlock's victim by itself: Baileys retries nothing.
 * @param {() => Promise<any>} run
 * @returns {Promise<any>}
 */
function retried(run) {
  return run().catch(async (error) => {
    for (let failure = error, left = RETRIES; ; left--) {
      if (left === 0 || failure?.code !== 'ERR_CASK_DEADLOCK' || !failure.retryable || hasTakenAlong(failure)) throw failure
      await sleep(Math.random() * MAX_JITTER_MS)
      try {
        return await run()
      } catch (again) {
        failure = again
      }
    }
  })
}

/**
 * Whether an error has doomed a transaction around the current call, so that it is of no use to go on inside of it.
 * @param {unknown} error
 */
function hasTakenAlong(error) {
  for (let context = shared.storage.getStore(); context; context = context.outer) {
    if (context.transaction.phase === 'running' && context.transaction.doomedBy === error) return true
  }
  return false
}

module.exports = { makeRepositoryKeys }
