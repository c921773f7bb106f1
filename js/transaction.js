'use strict'

const { HOME, binding, port, FAILED, LATER, WAITS, ticket, settled, lastError, settleNow } = require('./port.js')
const { channels, publish } = require('./channels.js')
const { runInside, current } = require('./context.js')
const { CaskError, atCaller } = require('./errors.js')
const { waitForLocks } = require('./lock-wait.js')
const { RecordAccess } = require('./record-access.js')
const { packRecords } = require('./requests.js')
const { Running } = require('./running.js')
const { INDEPENDENT, checkWork, planFor, planWith } = require('./transaction-options.js')
const { timeoutError, unwatch, watch } = require('./watch.js')

/** @typedef {import('./context.js').Context} Context */
/** @typedef {import('./account.js').AccountState} AccountState */
/** @typedef {import('./transaction-options.js').Plan} Plan */
/** @typedef {'running' | 'committing' | 'committed' | 'rolled back'} Phase */

/** Of so many transactions one keeps the stack of its call, for those who ask later who holds a lock. */
const STACK_EVERY = 64
let untilStack = 1

/**
 * One transaction. `running -> committing -> committed`, or `running -> rolled back`. While it runs it can be doomed: its locks are
 * free, its calls reject with what doomed it, and so does its promise, at once or when its work has ended.
 */
class TransactionState {
  /**
   * @param {AccountState} account
   * @param {TransactionState | undefined} around what it runs inside of, on whatever account of the cask
   * @param {Plan} plan
   */
  constructor(account, around, plan) {
    this.account = account
    this.around = around
    this.label = plan.label
    this.role = plan.role
    this.isIndependent = (plan.settings & INDEPENDENT) !== 0 && around?.account === account
    this.hasJoined = false
    this.handle = 0
    /** @type {Phase} */
    this.phase = 'running'
    this.endedAt = 0
    /** @type {any} */
    this.doomedBy = undefined
    /** Whether it may hold locks. */
    this.holds = false
    /** How many of its calls, and of those inside it, wait for locks. */
    this.waiting = 0
    /** How many calls it, or one inside it, has made. */
    this.calls = 0
    this.callsSeen = 0
    /** When it got its first lock; times are on the clock of `performance.now()`. */
    this.since = 0
    /** The same, moved on by the time that does not count towards its limit. */
    this.heldSince = 0
    this.idleSince = 0
    this.lookedAt = 0
    this.reported = false
    /** Where it began, where that is kept. @type {{ stack?: string } | undefined} */
    this.stack = undefined
    /** The function below the caller of the call that is being made. @type {Function | undefined} */
    this.called = undefined
    this.home = HOME
    this.records = account.records
    /** What has to end before it commits: transactions inside it, calls that wait. @type {Running | undefined} */
    this.inside = undefined
    /** What waits for its end: the transaction around it, or its cask. @type {Running | undefined} */
    this.outside = undefined
    /** Its place among those that are watched. */
    this.isWatched = false
    /** @type {TransactionState | undefined} */
    this.previousWatched = undefined
    /** @type {TransactionState | undefined} */
    this.nextWatched = undefined
    /** @type {(value: any) => void} */
    this.resolve = ignore
    /** @type {(error: unknown) => void} */
    this.reject = ignore
    /** @type {() => void} */
    this.unlimit = ignore
    /** @type {any} */
    this.facade = new Facade(this)
  }

  get cask() {
    return this.account.cask
  }

  /** Whether this level may leave the ambient chain. */
  isForgotten() {
    return this.phase === 'committed' || (this.phase === 'rolled back' && !this.refusesLeftovers())
  }

  /** Whether an ambient write that outlived this transaction has to be refused. */
  refusesLeftovers() {
    return this.phase === 'rolled back' && performance.now() - this.endedAt < this.account.cask.refusesLeftoversMs
  }

  /** Refuses calls after the end, and those of a doomed transaction. */
  check() {
    if (this.phase === 'running') {
      if (this.doomedBy) throw this.doomedBy
      return
    }
    const named = this.label === undefined ? '' : ` ${this.label}`
    throw new CaskError(
      'ERR_CASK_TRANSACTION_ENDED',
      `transaction${named} has ended; await everything that belongs to it inside its work`,
      this.label === undefined ? {} : { label: this.label }
    )
  }

  /**
   * Makes one call on the core in this transaction.
   * @template T
   * @param {() => T | Promise<T>} work
   * @param {Function} called the function below the caller
   * @returns {Promise<T>}
   */
  call(work, called) {
    try {
      this.check()
      this.called = called
      this.calls++
      for (let outer = this.around; outer; outer = outer.around) outer.calls++
      if (!this.holds) this.beginHolding()
      const answer = work()
      return answer instanceof Promise ? this.#ofCommit(answer) : Promise.resolve(answer)
    } catch (error) {
      const failure = this.failed(error)
      return Promise.reject(failure === this.doomedBy ? failure : atCaller(failure, called))
    }
  }

  /**
   * Makes the commit wait for a call, whether or not the work does.
   * @template T
   * @param {Promise<T>} call
   * @returns {Promise<T>}
   */
  async #ofCommit(call) {
    const inside = (this.inside ??= new Running())
    inside.begin()
    try {
      return await call
    } catch (error) {
      throw this.failed(error)
    } finally {
      inside.end()
    }
  }

  /** From now on it counts how long it holds locks. */
  beginHolding() {
    this.holds = true
    this.since = this.heldSince = this.idleSince = this.lookedAt = performance.now()
    watch(this)
  }

  /**
   * Waits for locks of this transaction.
   * @returns {Promise<number>} the call's ticket
   */
  async wait() {
    /** @type {TransactionState | undefined} */
    let level = this
    for (; level; level = level.around) level.waiting++
    try {
      return await waitForLocks(this.account.cask, (role) => this.describe(role), this.called)
    } finally {
      for (level = this; level; level = level.around) level.waiting--
    }
  }

  /**
   * What a failed call of this transaction means for it, and for those around it that a deadlock has taken along.
   * @param {any} error
   * @returns {any} what the caller is told
   */
  failed(error) {
    if (!(error instanceof CaskError) || error.code === 'ERR_CASK_TRANSACTION_ENDED' || error.code === 'ERR_CASK_INVALID_ARGUMENT') return error
    // The core knows a code only; here is the error with what led to it.
    for (let level = /** @type {TransactionState | undefined} */ (this); level; level = level.around) {
      if (level.doomedBy?.code === error.code) return level.doomedBy
    }
    const facts = /** @type {any} */ (error)
    const levels = facts.levels ?? 1
    delete facts.levels
    /** @type {TransactionState | undefined} */
    let level = this
    for (let left = levels; level && left > 0; left--, level = level.around) level.doom(error)
    return error
  }

  /**
   * Frees its locks, and refuses its calls and its commit from now on.
   * @param {any} error
   */
  doom(error) {
    if (this.phase !== 'running' || this.doomedBy) return
    this.doomedBy = error
    if (this.handle !== 0) binding.doom(port, this.handle, error.code)
    publish(channels.doomed, () => ({ ...this.describe('doomed'), code: error.code, error }))
  }

  /**
   * Dooms it and does not wait for its work, which may never end.
   * @param {any} error
   */
  giveUp(error) {
    if (this.phase !== 'running' || this.doomedBy) return
    this.doom(error)
    this.reject(error)
    this.#forget()
  }

  /**
   * @param {number} heldMs
   * @param {string} how
   */
  timeOut(heldMs, how) {
    this.giveUp(timeoutError(this, heldMs, how))
  }

  /**
   * Saves creds at once, and not as part of the transaction; where `setCreds` was called here or around, in its place.
   * @param {unknown} creds
   */
  async saveCreds(creds) {
    await this.records.saveCreds(creds)
  }

  heldMs() {
    return performance.now() - this.heldSince
  }

  /**
   * Who this is, for those who look at locks.
   * @param {string} role
   */
  describe(role) {
    const { label, stack } = this
    return {
      account: this.account.name,
      ...(label === undefined ? {} : { label }),
      ...(role === 'holder' ? { locks: this.account.cask.locksOf(this.handle) } : {}),
      ...(role === 'holder' && stack?.stack ? { stack: stack.stack } : {})
    }
  }

  /**
   * Runs `work` in it. The promise settles when it has committed, has been rolled back, or was given up.
   * @param {(transaction: unknown) => unknown} work
   * @param {Plan} plan
   * @param {Function} called the function below the caller
   * @returns {Promise<any>}
   */
  run(work, plan, called) {
    return new Promise((resolve, reject) => {
      this.resolve = resolve
      this.reject = reject
      // Whoever waits for the end does not wait for this promise itself: a failure that nobody handles must show.
      const { around } = this
      this.outside = around?.account === this.account ? (around.inside ??= new Running()) : this.account.cask.running
      this.outside.begin()
      if (this.account.cask.lockStacks || --untilStack === 0) {
        untilStack = STACK_EVERY
        this.stack = {}
        Error.captureStackTrace(this.stack, called)
      }
      this.called = called
      try {
        if (plan.signal || plan.timeoutMs > 0) this.#limit(plan)
        const begun = this.#begin(plan)
        if (begun === undefined) this.#runWork(work)
        else begun.then(() => this.#runWork(work), (error) => this.#rollBack(error))
      } catch (/** @type {any} */ error) {
        this.#rollBack(error === this.doomedBy && error.code !== 'ERR_CASK_DEADLOCK' ? error : atCaller(error, called))
      }
    })
  }

  /**
   * @param {Plan} plan
   * @returns {Promise<unknown> | undefined} a promise where it has to wait for its locks
   */
  #begin(plan) {
    const { account, around } = this
    const outer = around?.handle ?? 0
    const begun = plan.records
      ? packRecords(plan.records, (keys) => binding.beginWith(port, account.handle, outer, keys, plan.settings, ticket()))
      : binding.begin(port, account.handle, outer, plan.label, plan.settings, ticket())
    if (begun === FAILED) throw this.failed(lastError())
    this.handle = begun < 0 ? -begun - 1 : begun
    this.records = new RecordAccess(account.handle, this.handle, account.hooks, this)
    if (begun < 0) return this.#beginLater()
    if (plan.label !== undefined || plan.records) this.beginHolding()
    return undefined
  }

  async #beginLater() {
    try {
      await this.wait()
    } catch (error) {
      throw this.failed(error)
    }
    this.beginHolding()
  }

  /** @param {(transaction: unknown) => unknown} work */
  #runWork(work) {
    let result
    try {
      result = runInside({ account: this.account.key, transaction: this, outer: current() }, () => work(this.facade))
    } catch (error) {
      this.#rollBack(error)
      return
    }
    if (result instanceof Promise || typeof (/** @type {any} */ (result)?.then) === 'function') {
      Promise.resolve(result).then((value) => this.#commit(value), (error) => this.#rollBack(error))
    } else {
      this.#commit(result)
    }
  }

  /** @param {unknown} value */
  #commit(value) {
    // What was begun inside and not awaited is part of the work all the same.
    if (this.inside && this.inside.count > 0) {
      this.inside.ended().then(() => this.#commit(value))
      return
    }
    if (this.doomedBy) {
      this.#rollBack(this.doomedBy)
      return
    }
    if (this.isIndependent) this.#noteJoined()
    this.phase = 'committing'
    this.called = undefined
    const answered = binding.commit(port, this.handle, ticket())
    if (answered === FAILED) this.#rolledBack(this.failed(lastError()))
    else if (answered === LATER || answered === WAITS) this.#commitLater(value, answered === WAITS ? this.wait() : settled())
    else this.#committed(value)
  }

  /**
   * @param {unknown} value
   * @param {Promise<number>} written
   */
  async #commitLater(value, written) {
    try {
      await written
    } catch (error) {
      this.#rolledBack(this.failed(error))
      return
    }
    this.#committed(value)
  }

  /** @param {unknown} value */
  #committed(value) {
    this.phase = 'committed'
    this.#forget()
    this.resolve(value)
    settleNow()
  }

  /** @param {unknown} error */
  #rollBack(error) {
    if (this.isIndependent) this.#noteJoined()
    if (this.handle !== 0) binding.rollback(port, this.handle)
    this.#rolledBack(this.doomedBy ?? error)
  }

  /** @param {unknown} error */
  #rolledBack(error) {
    this.phase = 'rolled back'
    this.endedAt = performance.now()
    this.#forget()
    this.reject(error)
    settleNow()
  }

  /** Nobody waits for it and nothing watches it any more. */
  #forget() {
    unwatch(this)
    this.unlimit()
    this.outside?.end()
    this.outside = undefined
  }

  /** Whether an independent transaction commits with the one around it, because it has touched what is staged there. */
  joined() {
    if (this.isIndependent && this.phase === 'running') this.#noteJoined()
    return this.hasJoined
  }

  #noteJoined() {
    if (this.hasJoined || this.handle === 0 || !binding.joined(port, this.handle)) return
    this.hasJoined = true
    publish(channels.joined, () => ({ ...this.describe('joined'), around: this.around?.label }))
  }

  /** @param {Plan} plan */
  #limit({ signal, timeoutMs }) {
    const abort = () => this.giveUp(new CaskError('ERR_CASK_ABORTED', 'the signal of the transaction was aborted', {
      ...(this.label === undefined ? {} : { label: this.label }),
      cause: signal?.reason
    }))
    const timer = timeoutMs > 0
      ? setTimeout(() => this.giveUp(new CaskError(
        'ERR_CASK_TRANSACTION_TIMEOUT',
        `the transaction has not ended within its timeoutMs of ${timeoutMs}; its locks are free, find out what its work waits for`,
        { retryable: true, ...(this.label === undefined ? {} : { label: this.label }), heldMs: this.holds ? Math.round(this.heldMs()) : 0 }
      )), timeoutMs)
      : undefined
    this.unlimit = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
    }
    if (!signal) return
    if (signal.aborted) {
      abort()
      throw this.doomedBy
    }
    signal.addEventListener('abort', abort, { once: true })
  }
}

function ignore() {}

/**
 * Runs `work` in a transaction of its own, or inside `around`.
 * @param {AccountState} account
 * @param {TransactionState | undefined} around
 * @param {any} work
 * @param {Plan} plan
 * @param {Function} called the function below the caller
 * @returns {Promise<any>}
 */
function transact(account, around, work, plan, called) {
  return new TransactionState(account, around, plan).run(work, plan, called)
}

/**
 * The handle that `work` receives. Its methods are bound to the transaction whatever the async context, also when they are taken off it;
 * each is made when it is asked for, since most work uses few of them.
 */
class Facade {
  #state

  /** @param {TransactionState} state */
  constructor(state) {
    this.#state = state
  }

  get get() {
    const state = this.#state
    const get = (/** @type {any} */ family, /** @type {any} */ ids) => state.call(() => state.records.get(family, ids), get)
    return get
  }

  get set() {
    const state = this.#state
    const set = (/** @type {any} */ data) => state.call(() => state.records.set(data), set)
    return set
  }

  get clear() {
    const state = this.#state
    const clear = () => state.call(() => state.records.clear(), clear)
    return clear
  }

  get setCreds() {
    const state = this.#state
    const setCreds = (/** @type {any} */ creds) => state.call(() => state.records.setCreds(creds), setCreds)
    return setCreds
  }

  get list() {
    const state = this.#state
    return (/** @type {any} */ family) => state.records.list(family)
  }

  get listIds() {
    const state = this.#state
    return (/** @type {any} */ family) => state.records.listIds(family)
  }

  get isInTransaction() {
    const state = this.#state
    return () => state.phase === 'running'
  }

  get transaction() {
    const state = this.#state
    const transaction = (/** @type {any} */ work, /** @type {any} */ label, /** @type {any} */ options) =>
      begin(state, work, () => planFor(label, options), transaction)
    return transaction
  }

  get transactWith() {
    const state = this.#state
    const transactWith = (/** @type {any} */ scope, /** @type {any} */ work, /** @type {any} */ options) =>
      begin(state, work, () => planWith(scope, options), transactWith)
    return transactWith
  }

  get joined() {
    return this.#state.joined()
  }
}

/**
 * @param {TransactionState} around
 * @param {unknown} work
 * @param {() => Plan} makePlan
 * @param {Function} called
 */
function begin(around, work, makePlan, called) {
  try {
    checkWork(work)
    const plan = makePlan()
    around.check()
    return transact(around.account, around, work, plan, called)
  } catch (error) {
    return Promise.reject(error === around.doomedBy ? error : atCaller(error, called))
  }
}

module.exports = { TransactionState, transact }
