'use strict'

const { binding, port, FAILED, LATER, ticket, settled, lastError } = require('./port.js')
const { runInside, current } = require('./context.js')
const { CaskError, wrongType, atCaller } = require('./errors.js')
const { RecordAccess } = require('./record-access.js')
const { addTo } = require('./running.js')

/** @typedef {import('./context.js').Context} Context */
/** @typedef {import('./account.js').AccountState} AccountState */
/** @typedef {'running' | 'committing' | 'committed' | 'rolled back'} Phase */

/** How long after a rollback its left-over work is refused, in milliseconds. */
const REFUSES_LEFTOVERS_MS = 120_000
const NO_ENTRIES = new Set()

/** One running transaction. `running -> committing -> committed`, or `running -> rolled back`. */
class TransactionState {
  /**
   * @param {AccountState} account
   * @param {number} handle
   * @param {string | undefined} label
   */
  constructor(account, handle, label) {
    this.account = account
    this.handle = handle
    this.label = label
    /** @type {Phase} */
    this.phase = 'running'
    this.endedAt = 0
    this.records = new RecordAccess(account.handle, handle, account.hooks)
    /** Transactions inside this one that have not ended. @type {Set<Promise<unknown>>} */
    this.inside = NO_ENTRIES
    this.facade = makeFacade(this)
  }

  /** Whether this level may leave the ambient chain. */
  isForgotten() {
    return this.phase === 'committed' || (this.phase === 'rolled back' && !this.refusesLeftovers())
  }

  /** Whether an ambient write that outlived this transaction has to be refused. */
  refusesLeftovers() {
    return this.phase === 'rolled back' && performance.now() - this.endedAt < REFUSES_LEFTOVERS_MS
  }

  /** Refuses calls after the end. */
  check() {
    if (this.phase === 'running') return
    const named = this.label === undefined ? '' : ` ${this.label}`
    throw new CaskError(
      'ERR_CASK_TRANSACTION_ENDED',
      `transaction${named} has ended; await everything that belongs to it inside its work`,
      { label: this.label }
    )
  }

  /**
   * Makes the commit wait for a transaction inside.
   * @returns {() => void} to be called when it has ended
   */
  addInside() {
    if (this.inside === NO_ENTRIES) this.inside = new Set()
    return addTo(this.inside)
  }

  async commit() {
    // What was begun inside and not awaited is part of the work all the same.
    while (this.inside.size > 0) await Promise.all(this.inside)
    this.phase = 'committing'
    try {
      const answered = binding.commit(port, this.handle, ticket())
      if (answered === FAILED) throw lastError()
      if (answered === LATER) await settled()
      this.phase = 'committed'
    } catch (error) {
      this.#rolledBack()
      throw error
    }
  }

  rollBack() {
    binding.rollback(port, this.handle)
    this.#rolledBack()
  }

  #rolledBack() {
    this.phase = 'rolled back'
    this.endedAt = performance.now()
  }
}

/**
 * Runs `work` in a transaction of its own, or inside `outer`.
 * @template T
 * @param {AccountState} account
 * @param {TransactionState | undefined} outer
 * @param {unknown} work
 * @param {unknown} label
 * @param {unknown} options
 * @returns {Promise<T>}
 */
function transact(account, outer, work, label, options) {
  if (typeof work !== 'function') return Promise.reject(wrongType('work', 'work is a function that returns a promise'))
  if (label !== undefined && (typeof label !== 'string' || label === '' || !label.isWellFormed())) {
    return Promise.reject(wrongType('label', 'a label is a string that is not empty and holds no half of a surrogate pair'))
  }
  if (options !== undefined && (typeof options !== 'object' || options === null)) {
    return Promise.reject(wrongType('options', 'options are an object'))
  }
  for (const name of Object.keys(options ?? {})) {
    return Promise.reject(wrongType('options', `options.${name} is not known`))
  }
  return perform(account, outer, /** @type {any} */ (work), label)
}

/**
 * @param {AccountState} account
 * @param {TransactionState | undefined} outer
 * @param {(transaction: unknown) => any} work
 * @param {string | undefined} label
 */
async function perform(account, outer, work, label) {
  // Whoever waits for the end does not wait for this promise itself: a failure that nobody handles must show.
  const ended = outer ? outer.addInside() : account.cask.addRunning()
  try {
    const begun = begin(account, outer, label)
    const transaction = new TransactionState(account, typeof begun === 'number' ? begun : await begun, label)
    let result
    try {
      result = await runInside({ account: account.key, transaction, outer: current() }, () => work(transaction.facade))
    } catch (error) {
      transaction.rollBack()
      throw error
    }
    await transaction.commit()
    return result
  } finally {
    ended()
  }
}

/**
 * Begins a transaction; waits for its label where somebody else has it.
 * @param {AccountState} account
 * @param {TransactionState | undefined} outer
 * @param {string | undefined} label
 * @returns {number | Promise<number>} its handle
 */
function begin(account, outer, label) {
  const begun = binding.begin(port, account.handle, outer ? outer.handle : 0, label, ticket())
  if (begun === FAILED) throw lastError()
  return begun < 0 ? granted(-begun - 1) : begun
}

/** @param {number} handle of a transaction that waits */
async function granted(handle) {
  try {
    await settled()
  } catch (error) {
    binding.rollback(port, handle)
    throw error
  }
  return handle
}

/**
 * The handle that `work` receives: plain functions, bound to the transaction whatever the async context.
 * @param {TransactionState} transaction
 * @returns {import('../index.js').Transaction}
 */
function makeFacade(transaction) {
  const { account, records } = transaction
  /** @param {() => any} call */
  const whileRunning = (call) => {
    try {
      transaction.check()
      return Promise.resolve(call())
    } catch (error) {
      return Promise.reject(atCaller(error, whileRunning))
    }
  }
  /** @type {any} */
  const facade = {
    get: (/** @type {unknown} */ family, /** @type {unknown} */ ids) => whileRunning(() => records.get(family, ids)),
    set: (/** @type {unknown} */ data) => whileRunning(() => records.set(data)),
    clear: () => whileRunning(() => records.clear()),
    setCreds: (/** @type {unknown} */ creds) => whileRunning(() => records.setCreds(creds)),
    list: (/** @type {unknown} */ family) => records.list(family, () => transaction.check()),
    listIds: (/** @type {unknown} */ family) => records.listIds(family, () => transaction.check()),
    isInTransaction: () => transaction.phase === 'running',
    transaction: (/** @type {unknown} */ work, /** @type {unknown} */ label, /** @type {unknown} */ options) =>
      whileRunning(() => transact(account, transaction, work, label, options))
  }
  return facade
}

module.exports = { TransactionState, transact }
