'use strict'

const { constants } = require('node:os')

/** Why a command has ended, as its exit code tells it. Codes that were released keep their meaning. */
const EXIT = Object.freeze({ FINE: 0, FAILED: 1, USAGE: 2, DAMAGE: 3, IN_USE: 4, KEY: 5 })

/** What is added to the number of a signal, as shells do it. */
const SIGNALLED = 128

/** Meaning of each code, for `--help` and the documentation. @type {ReadonlyArray<readonly [code: number, meaning: string]>} */
const MEANINGS = Object.freeze([
  [EXIT.FINE, 'fine'],
  [EXIT.FAILED, 'failed; nothing half-done is left that could be taken for whole'],
  [EXIT.USAGE, 'wrong usage; nothing was done'],
  [EXIT.DAMAGE, 'damage: verify found some, a repair had to leave something out, files to import are not whole'],
  [EXIT.IN_USE, 'another process has the cask open; try again when it has ended'],
  [EXIT.KEY, 'the key is missing or wrong, or the cask is not sealed'],
  [SIGNALLED + constants.signals.SIGHUP, 'the terminal went away (SIGHUP)'],
  [SIGNALLED + constants.signals.SIGINT, 'interrupted (Ctrl-C, SIGINT)'],
  [SIGNALLED + constants.signals.SIGTERM, 'ended (SIGTERM)']
])

/** @type {Record<string, number>} */
const BY_ERROR = { ERR_CASK_CORRUPT: EXIT.DAMAGE, ERR_CASK_LOCKED: EXIT.IN_USE, ERR_CASK_KEY: EXIT.KEY }

/** @param {any} error */
function exitCodeOf(error) {
  return error?.isUsage ? EXIT.USAGE : BY_ERROR[error?.code] ?? EXIT.FAILED
}

/** @param {'SIGHUP' | 'SIGINT' | 'SIGTERM'} signal */
function exitCodeOfSignal(signal) {
  return SIGNALLED + constants.signals[signal]
}

module.exports = { EXIT, MEANINGS, exitCodeOf, exitCodeOfSignal }
