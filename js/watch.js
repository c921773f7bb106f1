'use strict'

const { binding, port, waits } = require('./port.js')
const { runInside } = require('./context.js')
const { CaskError } = require('./errors.js')
const { reportEnd, reportStalled } = require('./stall.js')
const { MIGRATION } = require('./transaction-options.js')

/** @typedef {import('./transaction.js').TransactionState} TransactionState */
/** @typedef {import('./lock-wait.js').LockWait} LockWait */

/** A look takes place this often within each limit, in these bounds. */
const LOOKS_PER_LIMIT = 8
const MIN_LOOK_MS = 5
const MAX_LOOK_MS = 1000
/** Timers are as exact as this. */
const TIMER_MS = 1
/** A transaction that makes calls may hold locks for this many times its limit. */
const LONGEST_IN_LIMITS = 10

/** The first of the list of transactions of this thread that have not ended. @type {TransactionState | undefined} */
let first
/** @type {NodeJS.Timeout | undefined} */
let timer
/** What has made it. */
let armedBy = setTimeout
let interval = Infinity
/** When the timer is to go off, on the clock of `performance.now()`. */
let dueAt = 0

/**
 * How often a handle's limits want a look, in milliseconds.
 * @param {{ transactionTimeoutMs: number, stallWarnMs: number }} limits
 */
function lookEvery({ transactionTimeoutMs, stallWarnMs }) {
  const shortest = Math.min(transactionTimeoutMs || Infinity, stallWarnMs || Infinity)
  return Math.min(Math.max(shortest / LOOKS_PER_LIMIT, MIN_LOOK_MS), MAX_LOOK_MS)
}

/**
 * Sees to it that somebody looks. The timer runs only while there is something to look at, and keeps no process alive.
 * @param {number} every
 */
function arm(every) {
  // One that somebody else's function has made, a test's for example, may never go off.
  if (timer !== undefined && every >= interval && armedBy === setTimeout) return
  clearTimeout(timer)
  interval = every
  dueAt = performance.now() + every
  armedBy = setTimeout
  // Whoever hears of what it finds has nothing to do with the transaction that happens to run now.
  timer = runInside(undefined, () => setTimeout(look, every))
  // In browsers and what is like them it is a number.
  timer.unref?.()
}

/** Transactions of this thread that have not ended. */
function live() {
  const all = []
  for (let transaction = first; transaction; transaction = transaction.nextWatched) all.push(transaction)
  return all
}

/** @param {TransactionState} transaction */
function watch(transaction) {
  transaction.isWatched = true
  transaction.nextWatched = first
  if (first) first.previousWatched = transaction
  first = transaction
  arm(transaction.account.cask.lookEvery)
}

/** @param {TransactionState} transaction */
function unwatch(transaction) {
  if (!transaction.isWatched) return
  transaction.isWatched = false
  const { previousWatched, nextWatched } = transaction
  if (previousWatched) previousWatched.nextWatched = nextWatched
  else first = nextWatched
  if (nextWatched) nextWatched.previousWatched = previousWatched
  // What has ended leads to nothing that lives.
  transaction.previousWatched = transaction.nextWatched = undefined
  if (transaction.reported) reportEnd('holder', transaction, performance.now() - transaction.since)
}

/** @param {LockWait} wait */
function watchWait(wait) {
  arm(wait.cask.lookEvery)
}

/** @param {LockWait} wait */
function unwatchWait(wait) {
  if (!wait.reported) return
  binding.noteWait(port, wait.cask.handle, wait.ticket)
  reportEnd('waiter', wait, performance.now() - wait.since)
}

function look() {
  timer = undefined
  interval = Infinity
  const now = performance.now()
  // Time in which nothing of this thread ran: it was stopped, or something kept it busy.
  const late = Math.max(now - dueAt - TIMER_MS, 0)
  let every = Infinity
  /** @type {import('./stall.js').Stalled[]} */
  const stalled = []
  const over = []
  for (const transaction of live()) {
    every = Math.min(every, transaction.account.cask.lookEvery)
    if (!count(transaction, now, late)) continue
    const { stallWarnMs } = transaction.account.cask
    const ageMs = now - transaction.since
    if (stallWarnMs > 0 && !transaction.reported && ageMs >= stallWarnMs && !isDoomed(transaction)) {
      stalled.push({ role: 'holder', party: transaction, ageMs })
    }
    if (isOver(transaction, now)) over.push(transaction)
  }
  for (const wait of waits.values()) {
    if (!('since' in wait)) continue
    const waiting = /** @type {LockWait} */ (wait)
    const { stallWarnMs, lookEvery } = waiting.cask
    const ageMs = now - waiting.since
    if (stallWarnMs > 0 && !waiting.reported && ageMs >= stallWarnMs) stalled.push({ role: 'waiter', party: waiting, ageMs })
    every = Math.min(every, lookEvery)
  }
  if (every < Infinity) arm(every)
  reportStalled(stalled)
  for (const transaction of over) transaction.giveUp(timeoutError(transaction, now))
}

/**
 * Counts how long a transaction has held locks. What has held any and is doomed is counted on: its work may never end.
 * @param {TransactionState} transaction
 * @param {number} now
 * @param {number} late milliseconds that do not count
 * @returns {boolean} whether it has held any
 */
function count(transaction, now, late) {
  // A call inside it is one of its own. What is inside is younger, and its turn comes first.
  const hasCalled = transaction.calls !== transaction.callsSeen
  transaction.callsSeen = transaction.calls
  if (hasCalled) for (let outer = transaction.outer(); outer; outer = outer.outer()) outer.calls++
  if (transaction.since === 0) {
    const heldMs = transaction.doomedBy ? 0 : binding.heldMs(port, transaction.handle)
    if (heldMs < 0) return false
    // By the clock as it is after the answer: however long this thread has stood still meanwhile was not held.
    transaction.since = transaction.heldSince = transaction.idleSince = transaction.lookedAt = Math.min(performance.now() - heldMs, now)
    if (transaction.countedBy) transaction.countedBy.innerHolders++
  }
  if (transaction.waiting > 0) {
    transaction.uncount(now)
  } else {
    transaction.heldSince += Math.min(late, now - transaction.heldSince)
    transaction.idleSince += Math.min(late, now - transaction.idleSince)
  }
  // What runs inside and holds locks has a clock of its own.
  if (transaction.innerHolders > 0 || hasCalled) transaction.idleSince = now
  transaction.lookedAt = now
  return true
}

/**
 * Whether a transaction holds nothing any more, since it was doomed or is part of one that was. Its cask may be closed.
 * @param {TransactionState} transaction
 */
function isDoomed(transaction) {
  for (let level = /** @type {TransactionState | undefined} */ (transaction); level; level = level.heir()) if (level.doomedBy) return true
  return false
}

/**
 * @param {TransactionState} transaction
 * @param {number} now
 */
function isOver(transaction, now) {
  const { transactionTimeoutMs: limit } = transaction.account.cask
  return limit > 0 && transaction.role !== MIGRATION && transaction.waiting === 0 && (now - transaction.idleSince >= limit || now - transaction.heldSince >= limit * LONGEST_IN_LIMITS)
}

/**
 * @param {TransactionState} transaction
 * @param {number} now
 */
function timeoutError(transaction, now) {
  const named = transaction.label === undefined ? '' : ` ${transaction.label}`
  const heldMs = Math.round(now - transaction.heldSince)
  const how = now - transaction.idleSince >= transaction.account.cask.transactionTimeoutMs ? 'without a call' : 'in all'
  return new CaskError(
    'ERR_CASK_TRANSACTION_TIMEOUT',
    `transaction${named} has held locks for ${heldMs} ms ${how}, longer than allowed; its locks are free, find out what its work waits for`,
    { retryable: true, label: transaction.label, heldMs }
  )
}

module.exports = { live, watch, unwatch, watchWait, unwatchWait, lookEvery }
