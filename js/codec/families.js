'use strict'

/**
 * Codes of the record families: part of the format on disk, so a number is never reused.
 * `0` stands for every family that has no code of its own, `255` for an account's creds.
 * @type {ReadonlyMap<string, number>}
 */
const FAMILY_CODES = new Map([
  ['pre-key', 1],
  ['session', 2],
  ['sender-key', 3],
  ['sender-key-memory', 4],
  ['app-state-sync-key', 5],
  ['app-state-sync-version', 6],
  ['lid-mapping', 7],
  ['device-list', 8],
  ['tctoken', 9],
  ['identity-key', 10]
])

/** @type {ReadonlyMap<number, string>} */
const FAMILY_NAMES = new Map([...FAMILY_CODES].map(([name, code]) => [code, name]))

/** Code of a family without one of its own. */
const OTHER_FAMILY = 0
/** Code under which creds are encoded. */
const CREDS = 255

const PRE_KEY = 1
const SESSION = 2
const APP_STATE_SYNC_KEY = 5
const APP_STATE_SYNC_VERSION = 6

module.exports = {
  FAMILY_CODES,
  FAMILY_NAMES,
  OTHER_FAMILY,
  CREDS,
  PRE_KEY,
  SESSION,
  APP_STATE_SYNC_KEY,
  APP_STATE_SYNC_VERSION
}
