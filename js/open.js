'use strict'

const { resolve } = require('node:path')
const { setTimeout: sleep } = require('node:timers/promises')
const { binding, port, FAILED, ticket, settled, lastError } = require('./port.js')
const { makeCask, isCask } = require('./cask.js')
const { CaskError, wrongType } = require('./errors.js')
const { checkOptions, CASK_OPTIONS } = require('./options.js')
const { checkNamedSecret, withSecret } = require('./secret.js')
const { tell } = require('./tell.js')

/** @typedef {import('../index.js').Cask} Cask */
/** @typedef {import('../index.js').CaskOptions} CaskOptions */

/** How often a folder that somebody else holds is tried again, in milliseconds. */
const RETRY_MS = 25

/**
 * Opens a cask; what is already open in this process, in any thread, is shared.
 * @param {CaskOptions} [options]
 * @returns {Promise<Cask>}
 */
async function openCask(options) {
  const checked = checkOptions(options, CASK_OPTIONS)
  checkNamedSecret(options, 'encryptionKey')
  if (checked.path !== undefined && checked.name !== undefined) {
    throw wrongType('options', 'path is for a cask in a folder and name for one in memory; give one of them')
  }
  if (checked.path === undefined && checked.durability === 'power') {
    throw wrongType('durability', 'a cask in memory cannot survive a loss of power; give a path')
  }
  if (checked.path === undefined && checked.rollbackGuard !== undefined) {
    throw wrongType('rollbackGuard', 'a cask in memory has no older copies; give a path')
  }
  if (checked.path === undefined && checked.create === false) {
    throw wrongType('create', 'a cask in memory is made by opening it; give a path')
  }
  if (checked.path === undefined && checked.encryptionKey !== undefined) {
    throw wrongType('encryptionKey', 'a cask in memory is not sealed; give a path')
  }
  const { logger, baileys, encryptionKey, openWaitMs = 0, lockTimeoutMs, transactionTimeoutMs, stallWarnMs, lockStacks, ...settings } = checked
  if (settings.path !== undefined) settings.path = resolve(settings.path)
  if (settings.rollbackGuard !== undefined) settings.rollbackGuard = resolve(settings.rollbackGuard)
  const opened = await openWithin(JSON.stringify(settings), encryptionKey, openWaitMs)
  for (const warning of opened.warnings) tell(logger, 'warn', { path: opened.path }, warning)
  if (opened.cutBytes > 0) {
    tell(
      logger,
      'warn',
      { path: opened.path, cutBytes: opened.cutBytes, cutFrames: opened.cutFrames },
      'the end of the log was not whole and was cut off, as after a crash'
    )
  }
  return makeCask(opened, hooksOf(baileys), { logger, lockTimeoutMs, transactionTimeoutMs, stallWarnMs, lockStacks })
}

/**
 * @param {string} settings
 * @param {string | Uint8Array | undefined} secret
 * @param {number} waitMs
 */
async function openWithin(settings, secret, waitMs) {
  const deadline = performance.now() + waitMs
  for (;;) {
    try {
      if (withSecret(secret, (packed) => binding.openCask(port, settings, packed, ticket())) === FAILED) throw lastError()
      return JSON.parse(/** @type {string} */ (binding.openedCask(port, await settled())))
    } catch (error) {
      const isHeld = /** @type {any} */ (error).code === 'ERR_CASK_LOCKED'
      if (!isHeld || performance.now() >= deadline) throw error
      await sleep(Math.min(RETRY_MS, Math.max(deadline - performance.now(), 1)))
    }
  }
}

/**
 * What is done to decoded values with a Baileys at hand.
 * @param {any} baileys
 */
function hooksOf(baileys) {
  const type = baileys?.proto?.Message?.AppStateSyncKeyData
  return typeof type?.fromObject === 'function' ? { appStateSyncKey: (/** @type {any} */ value) => type.fromObject(value) } : {}
}

/**
 * A cask that is already open in this process: a cask stays itself; a path or a name gives another handle to it.
 * @param {Cask | string | null | undefined} ref
 */
function attachCask(ref) {
  if (ref === null || ref === undefined) return undefined
  if (isCask(ref)) return ref
  if (typeof ref !== 'string' || ref === '' || !ref.isWellFormed()) throw wrongType('ref', 'ref is a cask, or the path or the name of one that is open')
  const opened = binding.attachCask(port, resolve(ref), true) ?? binding.attachCask(port, ref, false)
  if (typeof opened !== 'string') {
    throw new CaskError('ERR_CASK_CLOSED', `no cask is open under the path or the name ${ref} in this process; open it with openCask()`, { path: ref })
  }
  return makeCask(JSON.parse(opened), {}, {})
}

module.exports = { openCask, attachCask }
