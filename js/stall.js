'use strict'

const { binding, port, waits } = require('./port.js')
const { channels, publish } = require('./channels.js')
const { wordsOf } = require('./stacks.js')
const { tell } = require('./tell.js')

/** @typedef {import('./transaction.js').TransactionState} TransactionState */
/** @typedef {import('./lock-wait.js').LockWait} LockWait */

/**
 * A holder of locks, or a call that waits for one, that has become old.
 * @typedef {{ role: 'holder', party: TransactionState, ageMs: number } | { role: 'waiter', party: LockWait, ageMs: number }} Stalled
 */

/**
 * Reports all that have become old since the last look.
 * @param {Stalled[]} all
 */
function reportStalled(all) {
  /** What each transaction of a cask holds: asked for once, however many there are to report. @type {Map<number, Map<number, object[]>>} */
  const held = new Map()
  const heldBy = (/** @type {TransactionState} */ { cask, handle }) => {
    let ofCask = held.get(cask.uid)
    if (!ofCask) held.set(cask.uid, (ofCask = cask.heldByTransaction()))
    return ofCask.get(handle) ?? []
  }
  for (const { role, party, ageMs } of all) {
    // The logger's code, or a subscriber's, may have ended it by now.
    if (role === 'holder' ? !party.isWatched : waits.get(party.ticket) !== party) continue
    party.reported = true
    const stack = wordsOf(party.stack)
    const report = {
      role,
      ...party.describe(),
      ageMs: Math.round(ageMs),
      ...(role === 'holder' ? { locks: heldBy(party) } : {}),
      ...(stack ? { stack } : {})
    }
    if (stack && role === 'holder') binding.noteStack(port, party.handle, stack)
    if (stack && role === 'waiter') binding.noteWait(port, party.cask.handle, party.ticket, stack)
    warn(party.cask.logger, report, role === 'holder' ? 'has held locks for' : 'has waited for a lock for')
    publish(channels.stall, () => report)
  }
}

/**
 * Reports the end of one that was reported as old.
 * @param {'holder' | 'waiter'} role
 * @param {TransactionState | LockWait} party
 * @param {number} ageMs
 */
function reportEnd(role, party, ageMs) {
  const report = { role, ...party.describe(), ageMs: Math.round(ageMs) }
  party.reported = false
  warn(party.cask.logger, report, role === 'holder' ? 'no longer holds locks after' : 'no longer waits for a lock after')
  publish(channels.stallEnd, () => report)
}

/**
 * @param {import('../index.js').Logger | undefined} logger
 * @param {{ account: string, label?: string, ageMs: number }} report
 * @param {string} what
 */
function warn(logger, report, what) {
  const { account, label, ageMs } = report
  const who = label === undefined ? `a call on account ${account}` : `transaction ${label} of account ${account}`
  tell(logger, 'warn', report, `${who} ${what} ${ageMs} ms`)
}

module.exports = { reportStalled, reportEnd }
