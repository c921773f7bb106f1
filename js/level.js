'use strict'

const { HOME, binding, calls, port } = require('./port.js')
const { channels, publish } = require('./channels.js')
const { CaskError } = require('./errors.js')
const { waitForLocks } = require('./lock-wait.js')
const { stackOf } = require('./stacks.js')
const { INDEPENDENT } = require('./transaction-options.js')
const { live } = require('./watch.js')

/** What `new CaskError` makes by itself. */
const OF_EVERY_ERROR = ['message', 'name', 'stack', 'cause']

/** @typedef {import('./account.js').AccountState} AccountState */
/** @typedef {import('./running.js').Running} Running */
/** @typedef {import('./stacks.js').Stack} Stack */
/** @typedef {import('./transaction.js').TransactionState} TransactionState */
/** @typedef {import('./transaction-options.js').Plan} Plan */
/** @typedef {'running' | 'preparing' | 'committing' | 'committed' | 'rolled back'} Phase */

/**
 * One of the transactions that run inside each other: who it is, what is around it and inside it, what its calls are refused with, and how long it
 * has waited and held locks.
 */
class Level {
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
    /** Until when ambient writes of its left-over work are refused, on the clock of `performance.now()`. */
    this.refusesUntil = 0
    /** @type {any} */
    this.doomedBy = undefined
    /** How many of its calls, and of those inside it, wait for locks; and since when any does. */
    this.waiting = 0
    this.waitingSince = 0
    /** How many transactions run directly inside it, on whatever account. */
    this.inner = 0
    /** How many of them have held locks, as seen by the last look. */
    this.innerHolders = 0
    /** How many calls it has made. */
    this.calls = 0
    this.callsSeen = 0
    /** Since when it has held locks, as seen by the last look; 0 while it has not. */
    this.since = 0
    /** The same, moved on by the time that does not count towards its limits; and since when it has made no call. */
    this.heldSince = 0
    this.idleSince = 0
    this.lookedAt = 0
    this.reported = false
    /** Where it was begun, where that is kept. @type {Stack | undefined} */
    this.stack = undefined
    /** The function below the caller of the call that is being made. @type {Function | Stack} */
    this.called = Level
    this.home = HOME
    this.records = account.records
    /** What has to end before it commits: transactions of its account inside it, calls that wait. @type {Running | undefined} */
    this.inside = undefined
    /** What waits for its end beside its cask: the transaction of its account around it. @type {Running | undefined} */
    this.outside = undefined
    /** Whether its cask waits for its end before it closes: not where it is doomed and only its work is left. */
    this.isCounted = false
    /** The one that counts it as running inside. @type {TransactionState | undefined} */
    this.countedBy = undefined
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
  }

  get cask() {
    return this.account.cask
  }

  hasEnded() {
    return this.phase === 'committed' || this.phase === 'rolled back'
  }

  /** Whether this level may leave the ambient chain. */
  isForgotten() {
    return this.phase === 'committed' || (this.phase === 'rolled back' && !this.refusesLeftovers())
  }

  /** Whether an ambient write that outlived this transaction has to be refused. */
  refusesLeftovers() {
    return this.phase === 'rolled back' && performance.now() < this.refusesUntil
  }

  /** The one around it that gets its writes and locks when it ends well. */
  heir() {
    return this.around?.account === this.account && (!this.isIndependent || this.joined()) ? this.around : undefined
  }

  /** The one around it. What has ended leaves the line, unless this one leaves its writes to it. */
  outer() {
    while (this.around?.hasEnded() && (this.isIndependent || this.around.account !== this.account)) this.around = this.around.around
    return this.around
  }

  /** What runs inside it and would leave its writes to it. */
  insiders() {
    return live().filter((transaction) => {
      for (let heir = transaction.heir(); heir; heir = heir.heir()) if (heir === /** @type {any} */ (this)) return true
      return false
    })
  }

  /** Whether an independent transaction commits with the one around it, because it has touched what is staged there. */
  joined() {
    if (this.isIndependent && this.phase === 'running') this.noteJoined()
    return this.hasJoined
  }

  noteJoined() {
    if (this.hasJoined || this.handle === 0 || calls.joined(port, this.handle) !== 1) return
    this.hasJoined = true
    publish(channels.joined, () => ({ ...this.describe(), around: this.around?.label }))
  }

  /** Refuses calls after the end, and those of a doomed transaction. */
  check() {
    if (this.phase === 'running') {
      if (this.doomedBy) throw this.doomedCall()
      return
    }
    throw this.endedError()
  }

  endedError() {
    const named = this.label === undefined ? '' : ` ${this.label}`
    return new CaskError(
      'ERR_CASK_TRANSACTION_ENDED',
      `transaction${named} has ended; await everything that belongs to it inside its work`,
      this.label === undefined ? {} : { label: this.label }
    )
  }

  /**
   * The refusal of a call while doomed work still runs. What doomed it may be retryable; this is not, or a loop inside that retries what is
   * would never end.
   */
  doomedCall() {
    const { doomedBy } = this
    if (!doomedBy.retryable) return doomedBy
    // Its stack is not looked at: applications replace what puts it into words, also by what throws.
    const { message } = doomedBy
    const facts = Object.fromEntries(Object.keys(doomedBy).filter((key) => !OF_EVERY_ERROR.includes(key)).map((key) => [key, doomedBy[key]]))
    return new CaskError(doomedBy.code, `${message}; the transaction has to end first`, { ...facts, retryable: false, cause: doomedBy })
  }

  /**
   * Waits for locks of this transaction.
   * @returns {Promise<number>} the call's ticket
   */
  wait() {
    return waitForLocks(this.account.cask, this, this.called)
  }

  /** Where a call was made that waits for the disk, where that is to be kept: it may hold locks of its own. */
  callStack() {
    return this.account.cask.lockStacks ? stackOf(this.called) : undefined
  }

  /** @param {number} now */
  waitBegan(now) {
    for (let level = /** @type {Level | undefined} */ (this); level; level = level.outer()) {
      if (level.waiting++ === 0) level.waitingSince = now
    }
  }

  /** @param {number} now */
  waitEnded(now) {
    for (let level = /** @type {Level | undefined} */ (this); level; level = level.outer()) {
      if (--level.waiting === 0) level.uncount(now)
    }
  }

  /**
   * Leaves the time in which it has waited out of what counts towards its limits.
   * @param {number} now
   */
  uncount(now) {
    if (this.since === 0) return
    this.heldSince += now - Math.max(this.waitingSince, this.lookedAt)
    this.idleSince = this.lookedAt = now
  }

  /** For how long it has held locks, as far as that counts, in milliseconds. */
  heldMs() {
    return this.since === 0 ? Math.max(Math.round(binding.heldMs(port, this.handle)), 0) : Math.round(performance.now() - this.heldSince)
  }

  /** Who this is, for those who look at locks. */
  describe() {
    const { account, label } = this
    return label === undefined ? { account: account.name } : { account: account.name, label }
  }
}

function ignore() {}

module.exports = { Level, ignore }
