'use strict'

const { CaskError } = require('./errors.js')

/** Label under which the first creds of an account are committed, fresh or imported. */
const FIRST_CREDS = 'baileys-cask: first creds'

/** The record that an account has while it is imported into: of a family of its own, until the creds are there. */
const UNFINISHED_FAMILY = 'baileys-cask:import'
const UNFINISHED_ID = 'unfinished'

/**
 * Whether an import into an account has begun and not ended.
 * @param {Pick<import('../index.js').KeyStore, 'get'>} keys
 * @returns {Promise<{ from: string, run: string } | undefined>}
 */
async function unfinishedImport(keys) {
  const found = await keys.get(/** @type {any} */ (UNFINISHED_FAMILY), [UNFINISHED_ID])
  return /** @type {any} */ (found)[UNFINISHED_ID]
}

/**
 * Refuses an account that an import has left half-way, whoever has saved creds in it.
 * @param {string} account
 * @param {Pick<import('../index.js').KeyStore, 'get'>} keys
 */
async function checkFinished(account, keys) {
  const unfinished = await unfinishedImport(keys)
  if (!unfinished) return
  throw new CaskError(
    'ERR_CASK_CREDS_MISSING',
    `an import into account ${account} has not ended, from ${unfinished.from}; run it again, or start over with account.drop()`,
    { account }
  )
}

module.exports = { FIRST_CREDS, UNFINISHED_FAMILY, UNFINISHED_ID, unfinishedImport, checkFinished }
