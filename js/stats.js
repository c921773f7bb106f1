'use strict'

const { binding, port, FAILED, lastError, takeOverflow } = require('./port.js')
const { setOwn } = require('./codec/set-own.js')
const { checkOptions, flag } = require('./options.js')

/** @typedef {import('../index.js').CaskStats} CaskStats */
/** @typedef {import('../index.js').AccountStats} AccountStats */
/** @typedef {import('../index.js').LogStats} LogStats */
/** @typedef {import('../index.js').Histogram} Histogram */
/** @typedef {import('../index.js').FamilyStats} FamilyStats */

const NANOSECONDS_PER_MS = 1e6

/** Upper bounds of histograms: milliseconds, and how many. The core tells them. @type {{ durations: readonly number[], sizes: readonly number[] } | undefined} */
let bounds

/**
 * What the core has packed: numbers, and the names that belong to some of them.
 * @typedef {object} Words
 * @property {(string | null)[]} families `null` for the creds
 * @property {string[]} accounts
 * @property {number[]} durations bounds, in nanoseconds
 * @property {number[]} sizes bounds
 */

/** Reads numbers in the order in which the core has packed them. */
class Numbers {
  /**
   * @param {Float64Array} all
   * @param {readonly (string | null)[]} families names by number
   * @param {{ durations: readonly number[], sizes: readonly number[] }} bounds
   */
  constructor(all, families, bounds) {
    this.all = all
    this.families = families
    this.bounds = bounds
    this.at = 0
  }

  next() {
    return /** @type {number} */ (this.all[this.at++])
  }

  /**
   * @param {readonly number[]} bounds
   * @param {number} unit how much of what was added is one of the bounds
   * @returns {Histogram}
   */
  histogram(bounds, unit) {
    const sum = this.next() / unit
    const counts = []
    let count = 0
    for (let left = bounds.length; left > 0; left--) {
      const seen = this.next()
      counts.push(seen)
      count += seen
    }
    return { count, sum, bounds, counts }
  }

  durations() {
    return this.histogram(this.bounds.durations, NANOSECONDS_PER_MS)
  }

  sizes() {
    return this.histogram(this.bounds.sizes, 1)
  }

  /** @returns {AccountStats} */
  account() {
    /** @type {FamilyStats} */
    let creds = { records: 0, bytes: 0 }
    let records = 0
    let bytes = 0
    /** @type {Record<string, FamilyStats>} */
    const families = {}
    for (let left = this.next(); left > 0; left--) {
      const name = this.families[this.next()]
      const family = { records: this.next(), bytes: this.next() }
      bytes += family.bytes
      if (typeof name !== 'string') {
        creds = family
      } else {
        records += family.records
        setOwn(families, name, family)
      }
    }
    const reads = { cached: this.next(), log: this.next(), absent: this.next() }
    const commits = this.durations()
    const batchRecords = this.sizes()
    const lockWaits = this.durations()
    const writtenBytes = this.next()
    const failedCommits = this.next()
    const transactions = { committed: this.next(), rolledBack: this.next() }
    return {
      records,
      bytes,
      creds,
      families,
      reads,
      commits,
      failedCommits,
      batchRecords,
      writtenBytes,
      transactions,
      lockWaits,
      deadlocks: this.next(),
      lockTimeouts: this.next(),
      transactionTimeouts: this.next(),
      aborted: this.next()
    }
  }

  /** @returns {LogStats} */
  log() {
    return {
      segments: this.next(),
      bytes: this.next(),
      liveBytes: this.next(),
      queuedBatches: this.next(),
      appendedBytes: this.next(),
      compactions: this.next(),
      compactedBytes: this.next(),
      copiedBytes: this.next(),
      poisoned: this.next() === 1,
      syncs: this.durations(),
      reads: this.durations(),
      groups: this.sizes()
    }
  }
}

const CHECKS = { accounts: flag }

/**
 * @param {{ handle: number }} cask
 * @param {unknown} options
 * @returns {CaskStats}
 */
function stats(cask, options) {
  const { accounts: each = true } = checkOptions(options, ['accounts'], CHECKS)
  if (binding.stats(port, cask.handle, each) === FAILED) throw lastError()
  // Of its own memory, so its numbers are aligned.
  const packed = takeOverflow()
  const count = packed.readDoubleLE(0)
  const all = new Float64Array(packed.buffer, packed.byteOffset, count)
  /** @type {Words} */
  const words = JSON.parse(packed.toString('utf8', count * Float64Array.BYTES_PER_ELEMENT))
  bounds ??= {
    durations: Object.freeze([...words.durations.map((nanoseconds) => nanoseconds / NANOSECONDS_PER_MS), Infinity]),
    sizes: Object.freeze([...words.sizes, Infinity])
  }
  const numbers = new Numbers(all, words.families, bounds)
  numbers.at = 1
  const [openTransactions, locks, lockWaiters] = [numbers.next(), numbers.next(), numbers.next()]
  const indexBytes = numbers.next()
  const cache = { bytes: numbers.next(), capacityBytes: numbers.next(), isShared: numbers.next() === 1 }
  const log = numbers.next() === 1 ? numbers.log() : undefined
  const sum = numbers.account()
  /** @type {Record<string, AccountStats>} */
  const accounts = {}
  for (const name of words.accounts) setOwn(accounts, name, numbers.account())
  return { ...sum, accounts, openTransactions, locks, lockWaiters, indexBytes, cache, log }
}

module.exports = { stats }
