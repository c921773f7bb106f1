'use strict'

const { waits } = require('./port.js')
const { CaskError } = require('./errors.js')
const { channels, publish } = require('./channels.js')

/** @typedef {import('./transaction.js').TransactionState} TransactionState */
/** @typedef {import('./port.js').PendingWait} PendingWait */

/** A look takes place this often within each limit, in these bounds. */
const LOOKS_PER_LIMIT = 8
const MIN_LOOK_MS = 5
const MAX_LOOK_MS = 1000
/** A transaction that makes calls may hold locks for this many times its limit. */
const LONGEST_IN_LIMITS = 10

/** The first of the list of transactions of this thread that hold locks. @type {TransactionState | undefined} */
let first
/** @type {NodeJS.Timeout | undefined} */
let timer
let interval = Infinity
let lastLook = 0

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
  if (timer !== undefined && every >= interval) return
  clearTimeout(timer)
  if (timer === undefined) lastLook = performance.now()
  interval = every
  timer = setTimeout(look, every)
  timer.unref()
}

/** Transactions of this thread that hold locks. */
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

/**
 * @param {TransactionState} transaction
 */
function unwatch(transaction) {
  if (!transaction.isWatched) return
  transaction.isWatched = false
  const { previousWatched, nextWatched } = transaction
  if (previousWatched) previousWatched.nextWatched = nextWatched
  else first = nextWatched
  if (nextWatched) nextWatched.previousWatched = previousWatched
  // What has ended leads to nothing that lives.
  transaction.previousWatched = transaction.nextWatched = undefined
  if (!transaction.reported) return
  transaction.reported = false
  reportEnd('holder', transaction, performance.now() - transaction.since)
}

/** @param {PendingWait} wait */
function watchWait(wait) {
  arm(wait.cask.lookEvery)
}

/** @param {PendingWait} wait */
function unwatchWait(wait) {
  if (wait.reported) reportEnd('waiter', wait, performance.now() - wait.since)
}

function look() {
  timer = undefined
  const now = performance.now()
  // What goes beyond the time to the next look is time in which nothing of this thread ran.
  const frozen = Math.max(now - lastLook - interval - MAX_LOOK_MS / LOOKS_PER_LIMIT, 0)
  lastLook = now
  interval = Infinity
  let every = Infinity
  for (const transaction of live()) {
    lookAt(transaction, now, frozen)
    every = Math.min(every, transaction.account.cask.lookEvery)
  }
  for (const wait of waits.values()) {
    if (wait.cask === undefined) continue
    const { stallWarnMs } = wait.cask
    if (stallWarnMs > 0 && !wait.reported && now - wait.since >= stallWarnMs) reportStall('waiter', wait, now - wait.since)
    every = Math.min(every, wait.cask.lookEvery)
  }
  if (every < Infinity) arm(every)
}

/**
 * @param {TransactionState} transaction
 * @param {number} now
 * @param {number} frozen milliseconds that do not count
 */
function lookAt(transaction, now, frozen) {
  if (!transaction.holds || transaction.doomedBy) return
  transaction.heldSince += frozen
  if (transaction.waiting > 0) {
    // What waits itself is not what the others wait for.
    transaction.heldSince += now - Math.max(transaction.lookedAt, transaction.heldSince)
    transaction.idleSince = now
  } else if (transaction.calls !== transaction.callsSeen) {
    transaction.callsSeen = transaction.calls
    transaction.idleSince = now
  } else {
    transaction.idleSince += frozen
  }
  transaction.lookedAt = now
  const { stallWarnMs, transactionTimeoutMs: limit } = transaction.account.cask
  const held = now - transaction.heldSince
  const age = now - transaction.since
  const idle = now - transaction.idleSince
  if (stallWarnMs > 0 && !transaction.reported && age >= stallWarnMs) reportStall('holder', transaction, age)
  if (limit > 0 && (idle >= limit || held >= limit * LONGEST_IN_LIMITS)) transaction.timeOut(held, idle >= limit ? 'without a call' : 'in all')
}

/**
 * @param {'holder' | 'waiter'} role
 * @param {TransactionState | PendingWait} stalled
 * @param {number} ageMs
 */
function reportStall(role, stalled, ageMs) {
  stalled.reported = true
  const report = { role, ...stalled.describe(role), ageMs: Math.round(ageMs) }
  const verb = role === 'holder' ? 'has held locks for' : 'has waited for a lock for'
  stalled.cask.logger?.warn(report, `${nameOf(report)} ${verb} ${report.ageMs} ms`)
  publish(channels.stall, () => report)
}

/**
 * @param {'holder' | 'waiter'} role
 * @param {TransactionState | PendingWait} stalled
 * @param {number} ageMs
 */
function reportEnd(role, stalled, ageMs) {
  const { account, label } = stalled.describe('ended')
  const report = { role, account, label, ageMs: Math.round(ageMs) }
  const verb = role === 'holder' ? 'no longer holds locks' : 'no longer waits for a lock'
  stalled.cask.logger?.warn(report, `${nameOf(report)} ${verb} after ${report.ageMs} ms`)
  publish(channels.stallEnd, () => report)
}

/** @param {{ account: string, label?: string | undefined }} report */
function nameOf({ account, label }) {
  return label === undefined ? `a call on account ${account}` : `transaction ${label} of account ${account}`
}

/**
 * @param {TransactionState} transaction
 * @param {number} heldMs
 * @param {string} how
 */
function timeoutError(transaction, heldMs, how) {
  const named = transaction.label === undefined ? '' : ` ${transaction.label}`
  return new CaskError(
    'ERR_CASK_TRANSACTION_TIMEOUT',
    `transaction${named} has held locks for ${Math.round(heldMs)} ms ${how}, longer than allowed; its locks are free, find out what its work waits for`,
    { retryable: true, label: transaction.label, heldMs: Math.round(heldMs) }
  )
}

module.exports = { live, watch, unwatch, watchWait, unwatchWait, lookEvery, timeoutError }
