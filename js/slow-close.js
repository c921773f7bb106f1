'use strict'

const { channels, publish } = require('./channels.js')
const { tell } = require('./tell.js')
const { live } = require('./watch.js')

/** @typedef {import('./cask.js').CaskState} CaskState */

/** So many transactions are named; who has more of them finds the others in the same place. */
const NAMED = 10

/**
 * Reports a `close` that waits for longer than the cask's `stallWarnMs`. Keeps no process alive.
 * @param {CaskState} cask
 * @returns {() => void} to be called when nothing is waited for any more
 */
function watchClose(cask) {
  if (cask.stallWarnMs === 0) return () => {}
  const since = performance.now()
  let isReported = false
  const timer = setTimeout(() => {
    isReported = true
    const { count } = cask.running
    const report = { ...about(cask, since), pending: count, transactions: namesOf(cask) }
    tell(cask.logger, 'warn', report, `close() waits for ${count} transactions and calls, ${report.ageMs} ms so far`)
    publish(channels.stall, () => report)
  }, cask.stallWarnMs)
  timer.unref?.()
  return () => {
    clearTimeout(timer)
    if (!isReported) return
    const report = about(cask, since)
    tell(cask.logger, 'warn', report, `close() no longer waits after ${report.ageMs} ms`)
    publish(channels.stallEnd, () => report)
  }
}

/**
 * @param {CaskState} cask
 * @param {number} since
 */
function about({ path }, since) {
  return { role: 'close', path, ageMs: Math.round(performance.now() - since) }
}

/** @param {CaskState} cask */
function namesOf(cask) {
  const running = live().filter((transaction) => transaction.account.cask === cask && !transaction.doomedBy)
  return running.slice(0, NAMED).map((transaction) => transaction.describe())
}

module.exports = { watchClose }
