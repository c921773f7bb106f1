'use strict'

const {
  binding, calls, port, FAILED, LATER, WAITS, ticket, settled, lastError, settleNow, borrowWriter, returnWriter, inScratch
} = require('./port.js')
const { channels, publish } = require('./channels.js')
const { runInside, current } = require('./context.js')
const { CaskError, atCaller } = require('./errors.js')
const { Facade } = require('./facade.js')
const { limit } = require('./limit.js')
const { Level, ignore } = require('./level.js')
const { RecordAccess } = require('./record-access.js')
const { packLabel, packRecords } = require('./requests.js')
const { Running } = require('./running.js')
const { stackOfHolder } = require('./stacks.js')
const { LOCKS_AT_COMMIT, checkWork, planFor, planWith } = require('./transaction-options.js')
const { unwatch, watch } = require('./watch.js')

const { then } = Promise.prototype

/** @typedef {import('./account.js').AccountState} AccountState */
/** @typedef {import('./stacks.js').Stack} Stack */
/** @typedef {import('./transaction-options.js').Plan} Plan */

/**
 * One transaction. `running -> preparing -> committing -> committed`, or `-> rolled back` from each of them; while it prepares it waits for
 * the locks of its commit. Up to there it can be doomed: its locks are free, its calls reject with what doomed it, and so does its promise,
 * at once where it is given up, else when its work has ended.
 */
class TransactionState extends Level {
  /**
   * @param {AccountState} account
   * @param {TransactionState | undefined} around what it runs inside of, on whatever account of the cask
   * @param {Plan} plan
   */
  constructor(account, around, plan) {
    super(account, around, plan)
    /** @type {any} */
    this.facade = new Facade(this)
  }

  /**
   * Begins a call on the core in this transaction. `leave` or `refuse` has to follow.
   * @param {Function | Stack} called the function below the caller, or where that was
   */
  enter(called) {
    this.check()
    this.called = called
    this.calls++
  }

  /**
   * The answer of a call.
   * @template T
   * @param {T | Promise<T>} answer
   * @returns {Promise<T>}
   */
  leave(answer) {
    return answer instanceof Promise ? this.#ofCommit(answer) : Promise.resolve(answer)
  }

  /**
   * The answer of a call that has failed at once.
   * @param {unknown} error
   * @param {Function | Stack} called
   * @returns {Promise<never>}
   */
  refuse(error, called) {
    const { doomedBy } = this
    if (doomedBy && error === doomedBy) return Promise.reject(error)
    const isRefusal = doomedBy && /** @type {any} */ (error)?.cause === doomedBy
    const failure = isRefusal ? error : this.failed(error)
    return Promise.reject(failure === error && typeof called === 'function' ? atCaller(failure, called) : failure)
  }

  /**
   * Reads as part of it.
   * @param {unknown} family
   * @param {unknown} ids
   * @param {Function} called the function below the caller
   * @returns {Promise<any>}
   */
  get(family, ids, called) {
    try {
      this.enter(called)
      return this.leave(this.records.get(family, ids))
    } catch (error) {
      return this.refuse(error, called)
    }
  }

  /**
   * Writes as part of it.
   * @param {unknown} data
   * @param {Function} called the function below the caller
   * @returns {Promise<any>}
   */
  set(data, called) {
    try {
      this.enter(called)
      return this.leave(this.records.set(data))
    } catch (error) {
      return this.refuse(error, called)
    }
  }

  /**
   * Makes one call on the core in this transaction.
   * @template T
   * @param {() => T | Promise<T>} work
   * @param {Function | Stack} called the function below the caller, or where that was
   * @returns {Promise<T>}
   */
  call(work, called) {
    try {
      this.enter(called)
      return this.leave(work())
    } catch (error) {
      return this.refuse(error, called)
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

  /**
   * What a failed call of this transaction means for it, and for those around it that a deadlock has taken along.
   * @param {any} error
   * @returns {any} what the caller is told
   */
  failed(error) {
    if (!(error instanceof CaskError) || error.code === 'ERR_CASK_TRANSACTION_ENDED' || error.code === 'ERR_CASK_INVALID_ARGUMENT') return error
    // The core knows a code only; here is the error with what led to it. It dooms all inside the one that it has doomed.
    for (let level = /** @type {TransactionState | undefined} */ (this); level; level = level.heir()) {
      const { doomedBy } = level
      if (doomedBy?.code !== error.code) continue
      for (let inner = /** @type {TransactionState | undefined} */ (this); inner && inner !== level; inner = inner.heir()) inner.doom(doomedBy)
      return doomedBy
    }
    this.doom(error)
    this.#heed(this.outer(), error)
    return error
  }

  /**
   * Dooms what the core has doomed with an error, from one level outwards: a deadlock ends all up to its victim.
   * @param {TransactionState | undefined} from
   * @param {any} error
   */
  #heed(from, error) {
    for (let level = from; level; level = level.outer()) {
      if (!level.doomedBy && level.handle !== 0 && binding.doomedBy(port, level.handle) === error.code) level.doom(error)
    }
  }

  /**
   * Frees its locks, and refuses its calls and its commit from now on.
   * @param {any} error
   * @returns {boolean} whether it is doomed now
   */
  doom(error) {
    if (this.doomedBy) return true
    if (this.phase !== 'running' && this.phase !== 'preparing') return false
    const isNew = this.handle !== 0 && binding.doom(port, this.handle, error.code)
    // While it waits for the locks of its commit only the core knows whether it has begun to write.
    if (this.phase === 'preparing' && !isNew) return false
    this.doomedBy = error
    this.#uncounted()
    if (this.inner > 0) for (const transaction of this.insiders()) transaction.#uncounted()
    publish(channels.doomed, () => ({ ...this.describe(), code: error.code, error }))
    return true
  }

  /**
   * Dooms it and does not wait for its work, which may never end. Where it is doomed already, it ends with what doomed it first.
   * @param {any} error
   */
  giveUp(error) {
    if (this.hasEnded() || !this.doom(error)) return
    this.reject(this.doomedBy)
    this.#giveUpInner(this.doomedBy)
    this.#forget()
    // Not in the middle of a call, which may have led here.
    queueMicrotask(() => this.#letGo())
  }

  /** Gives its handle back, with what the core keeps for it, its store among that: its work may never end. */
  #letGo() {
    if (this.handle === 0 || this.hasEnded()) return
    if (this.isIndependent) this.noteJoined()
    const { handle } = this
    this.handle = 0
    binding.rollback(port, handle)
    settleNow()
  }

  /**
   * Gives up what runs inside it and would leave its writes to it.
   * @param {any} error
   */
  #giveUpInner(error) {
    if (this.inner > 0) for (const transaction of this.insiders()) transaction.giveUp(error)
  }

  /** Its cask waits for it no more. */
  #uncounted() {
    if (!this.isCounted) return
    this.isCounted = false
    this.account.cask.running.end()
  }

  /**
   * Saves creds at once, and not as part of the transaction; where `setCreds` was called here or around, in its place.
   * @param {unknown} creds
   * @param {Function} called
   */
  async saveCreds(creds, called) {
    this.called = called
    const { running } = this.account.cask
    running.begin()
    try {
      await this.records.saveCreds(creds)
    } catch (error) {
      // It is no call of the transaction; but who waits through it may have been a deadlock's victim.
      if (error instanceof CaskError) this.#heed(this, error)
      throw error
    } finally {
      running.end()
    }
  }

  /**
   * Begins a transaction inside this one.
   * @param {unknown} work
   * @param {unknown} label
   * @param {unknown} options
   * @param {Function} called the function below the caller
   */
  beginInside(work, label, options, called) {
    return this.#beginInside(work, () => planFor(label, options), called)
  }

  /**
   * The same, with records that it locks first.
   * @param {unknown} scope
   * @param {unknown} work
   * @param {unknown} options
   * @param {Function} called
   */
  beginWithInside(scope, work, options, called) {
    return this.#beginInside(work, () => planWith(scope, options), called)
  }

  /**
   * The same, as planned by others: on its own handle of the account, and in its own load of the package.
   * @param {any} work
   * @param {Plan} plan
   * @param {Function} called the function below the caller
   */
  beginPlanned(work, plan, called) {
    return transact(this.account, this, work, plan, called)
  }

  /**
   * @param {unknown} work
   * @param {() => Plan} makePlan
   * @param {Function} called
   */
  #beginInside(work, makePlan, called) {
    try {
      checkWork(work)
      const plan = makePlan()
      this.check()
      return this.beginPlanned(work, plan, called)
    } catch (error) {
      return Promise.reject(error === this.doomedBy ? error : atCaller(error, called))
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
      this.#enlist()
      this.stack = stackOfHolder(called, this.account.cask.lockStacks || (plan.settings & LOCKS_AT_COMMIT) !== 0)
      this.called = called
      try {
        if (plan.signal || plan.timeoutMs > 0) this.unlimit = limit(this, plan)
        if (this.doomedBy) this.#rollBack(this.doomedBy)
        else if (this.#begin(plan, called)) this.#runWork(work)
        else this.wait().then(() => this.#runWork(work), (error) => this.#rollBack(this.failed(error)))
      } catch (error) {
        this.#rollBack(error)
      }
    })
  }

  /** Lets those know of it that wait for its end, or watch it. */
  #enlist() {
    const { around } = this
    // Whoever waits for the end does not wait for the promise itself: a failure that nobody handles must show.
    this.account.cask.running.begin()
    this.isCounted = true
    if (around) {
      around.inner++
      around.calls++
      this.countedBy = around
      if (around.account === this.account) {
        this.outside = around.inside ??= new Running()
        this.outside.begin()
      }
    }
    watch(this)
  }

  /**
   * @param {Plan} plan
   * @param {Function} called
   * @returns {boolean} whether it has its locks; else it waits for them
   */
  #begin(plan, called) {
    const { account } = this
    const outer = this.around?.handle ?? 0
    const begun = plan.records
      ? packRecords(plan.records, (keys) => binding.beginWith(port, account.handle, outer, keys, plan.settings, ticket()))
      : beginLabelled(account.handle, outer, plan)
    if (begun === FAILED) {
      const error = lastError()
      const failure = this.failed(error)
      throw failure === error ? atCaller(error, called) : failure
    }
    this.handle = begun < 0 ? -begun - 1 : begun
    this.records = new RecordAccess(account.handle, this.handle, account.hooks, this)
    return begun > 0
  }

  /** @param {(transaction: unknown) => unknown} work */
  #runWork(work) {
    // It may have been given up in the turn in which it got its locks.
    if (this.doomedBy) return this.#rollBack(this.doomedBy)
    try {
      const result = runInside({ account: this.account.key, transaction: this, outer: current() }, () => work(this.facade))
      if ((typeof result === 'object' && result !== null) || typeof result === 'function') {
        // As `await` does: of a promise of somebody else's, whose `then` is their code, only the first answer counts.
        Reflect.apply(then, Promise.resolve(result), [(/** @type {unknown} */ value) => this.#commit(value), (/** @type {unknown} */ error) => this.#rollBack(error)])
      } else {
        this.#commit(result)
      }
    } catch (error) {
      this.#rollBack(error)
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
    if (this.isIndependent) this.noteJoined()
    this.phase = 'committing'
    const answered = calls.commit(port, this.handle, ticket())
    if (answered === FAILED) this.#rolledBack(this.failed(lastError()))
    else if (answered === WAITS) this.#prepare(value)
    else if (answered === LATER) this.#write(value)
    else this.#committed(value)
  }

  /**
   * Waits for the locks of the commit, and then for the commit.
   * @param {unknown} value
   */
  #prepare(value) {
    this.phase = 'preparing'
    this.called = this.stack ?? Level
    this.#commitLater(value, this.wait())
    settleNow()
  }

  /**
   * Waits for the commit.
   * @param {unknown} value
   */
  #write(value) {
    this.#commitLater(value, settled())
    settleNow()
  }

  /**
   * @param {unknown} value
   * @param {Promise<number>} written
   */
  async #commitLater(value, written) {
    try {
      await written
    } catch (error) {
      this.#rollBack(this.failed(error))
      return
    }
    // After a wait the core still has its handle.
    binding.rollback(port, this.handle)
    this.#committed(value)
  }

  /** @param {unknown} value */
  #committed(value) {
    this.phase = 'committed'
    this.resolve(value)
    this.#end()
  }

  /** @param {unknown} error */
  #rollBack(error) {
    if (this.isIndependent) this.noteJoined()
    if (this.handle !== 0) binding.rollback(port, this.handle)
    this.#rolledBack(this.doomedBy ?? error)
  }

  /** @param {unknown} error */
  #rolledBack(error) {
    this.phase = 'rolled back'
    this.refusesUntil = performance.now() + this.account.cask.refusesLeftoversMs
    this.reject(error)
    if (this.inner > 0) this.#giveUpInner(this.doomedBy ?? this.endedError())
    this.#end()
  }

  #end() {
    try {
      this.#forget()
      this.doomedBy = undefined
      while (this.around?.hasEnded()) this.around = this.around.around
    } finally {
      // The core does not wake this thread for those that its end lets go on.
      settleNow()
    }
  }

  /** Nobody waits for it and nothing watches it any more, and it keeps nothing of its caller's alive. */
  #forget() {
    if (!this.isWatched) return
    unwatch(this)
    this.#uncounted()
    this.outside?.end()
    if (this.countedBy) {
      this.countedBy.inner--
      if (this.since !== 0) this.countedBy.innerHolders--
      this.countedBy.calls++
    }
    const { unlimit } = this
    this.countedBy = this.outside = this.stack = undefined
    this.called = Level
    this.resolve = this.reject = this.unlimit = ignore
    // Last, since it calls the signal, which may be somebody's own.
    unlimit()
  }
}

/**
 * @param {number} account
 * @param {number} outer
 * @param {Plan} plan
 */
function beginLabelled(account, outer, { label, settings }) {
  const writer = borrowWriter()
  try {
    if (label !== undefined) packLabel(writer, label)
    return inScratch(writer)
      ? calls.begin(port, account, outer, writer.offset, settings, ticket())
      : binding.beginLabelled(port, account, outer, label ?? '', settings, ticket())
  } finally {
    returnWriter(writer)
  }
}

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

module.exports = { TransactionState, transact }
