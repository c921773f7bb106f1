'use strict'

const { resolve } = require('node:path')
const { binding, port, FAILED, ticket, settled, lastError } = require('./port.js')
const { CaskError, wrongType } = require('./errors.js')
const { abortSignal, checkOptions, flag, text } = require('./options.js')
const { checkSecret, checkNamedSecret, withSecret } = require('./secret.js')

/** @typedef {import('../index.js').BackupReport} BackupReport */
/** @typedef {import('../index.js').CompactReport} CompactReport */
/** @typedef {import('../index.js').VerifyReport} VerifyReport */
/** @typedef {import('../index.js').RepairReport} RepairReport */

const DOUBTFUL = ['omit', 'omit-ratchets', 'keep']

/** @type {Record<string, (name: string, value: any) => void>} */
const CHECKS = {
  hardLinks: flag,
  signal: abortSignal,
  encryptionKey: checkSecret,
  newEncryptionKey: checkSecret,
  doubtful: (name, value) => {
    if (!DOUBTFUL.includes(value)) throw wrongType(name, 'doubtful is \'omit\', \'omit-ratchets\' or \'keep\'')
  }
}

/**
 * Begins work in the background and waits for its report.
 * @param {(ticket: number) => number} begin
 * @param {(ticket: number) => void} [begun] called when it has begun
 * @returns {Promise<any>}
 */
async function reported(begin, begun) {
  const number = ticket()
  if (begin(number) === FAILED) throw lastError()
  const done = settled()
  begun?.(number)
  return JSON.parse(/** @type {string} */ (binding.ticketReport(port, await done)))
}

/**
 * The same for work that a signal stops.
 * @param {string} what it is
 * @param {AbortSignal | undefined} signal
 * @param {(ticket: number) => number} begin
 * @returns {Promise<any>}
 */
async function stoppable(what, signal, begin) {
  const aborted = () => new CaskError('ERR_CASK_ABORTED', `the signal of the ${what} was aborted`, { cause: signal?.reason })
  if (signal?.aborted) throw aborted()
  let cancel = () => {}
  const watch = (/** @type {number} */ number) => {
    cancel = () => binding.cancel(port, number)
    // A signal of somebody's own; what it does is not to keep the work from ending.
    try { signal?.addEventListener('abort', cancel, { once: true }) } catch {}
  }
  try {
    return await reported(begin, watch)
  } catch (error) {
    throw /** @type {any} */ (error).code === 'ERR_CASK_ABORTED' ? aborted() : error
  } finally {
    try { signal?.removeEventListener('abort', cancel) } catch {}
  }
}

/**
 * @param {string} name
 * @param {unknown} path
 */
function absolute(name, path) {
  text(name, path)
  return resolve(/** @type {string} */ (path))
}

/**
 * Copies an open cask to a new folder.
 * @param {import('./cask.js').CaskState} state
 * @param {unknown} path
 * @param {unknown} options
 * @returns {Promise<BackupReport>}
 */
async function backup(state, path, options) {
  state.check()
  const target = absolute('path', path)
  const { hardLinks = false, signal } = checkOptions(options, ['hardLinks', 'signal'], CHECKS)
  state.running.begin()
  try {
    return await stoppable('backup', signal, (number) => binding.backup(port, state.handle, target, hardLinks, number))
  } finally {
    state.running.end()
  }
}

/**
 * Rewrites segments that are worth it.
 * @param {import('./cask.js').CaskState} state
 * @returns {Promise<CompactReport>}
 */
async function compact(state) {
  state.check()
  state.running.begin()
  try {
    return await reported((number) => binding.compact(port, state.handle, number))
  } finally {
    state.running.end()
  }
}

/**
 * Looks for damage in the folder of a cask that nobody has open. Changes nothing.
 * @param {string} path
 * @param {import('../index.js').VerifyOptions} [options]
 * @returns {Promise<VerifyReport>}
 */
async function verifyCask(path, options) {
  const folder = absolute('path', path)
  const { encryptionKey, signal } = checkOptions(options, ['encryptionKey', 'signal'], CHECKS)
  return stoppable('verification', signal, (number) => withSecret(encryptionKey, (secret) => binding.verify(port, folder, secret, number)))
}

/**
 * Writes everything intact of a damaged cask to a new folder.
 * @param {string} path
 * @param {string} target
 * @param {import('../index.js').RepairOptions} [options]
 * @returns {Promise<RepairReport>}
 */
async function repairCask(path, target, options) {
  const from = absolute('path', path)
  const to = absolute('target', target)
  const { doubtful = 'omit', encryptionKey, signal } = checkOptions(options, ['doubtful', 'encryptionKey', 'signal'], CHECKS)
  return stoppable('repair', signal, (number) => withSecret(encryptionKey, (secret) => binding.repair(port, from, to, doubtful, secret, number)))
}

/**
 * Writes all records of a cask to a new folder, under another key or none.
 * @param {string} path
 * @param {string} target
 * @param {import('../index.js').RewriteOptions} [options]
 * @returns {Promise<import('../index.js').RewriteReport>}
 */
async function rewriteCask(path, target, options) {
  const from = absolute('path', path)
  const to = absolute('target', target)
  const { encryptionKey, newEncryptionKey, signal } = checkOptions(options, ['encryptionKey', 'newEncryptionKey', 'signal'], CHECKS)
  checkNamedSecret(options, 'newEncryptionKey')
  return stoppable('rewrite', signal, (number) =>
    withSecret(encryptionKey, (secret) =>
      withSecret(newEncryptionKey, (newSecret) => binding.rewrite(port, from, to, secret, newSecret, number))
    )
  )
}

/**
 * Gives a sealed cask that nobody has open another key.
 * @param {string} path
 * @param {import('../index.js').ChangeKeyOptions} options
 * @returns {Promise<void>}
 */
async function changeEncryptionKey(path, options) {
  const folder = absolute('path', path)
  const { encryptionKey, newEncryptionKey } = checkOptions(options, ['encryptionKey', 'newEncryptionKey'], CHECKS)
  checkSecret('encryptionKey', encryptionKey)
  checkSecret('newEncryptionKey', newEncryptionKey)
  await reported((number) =>
    withSecret(encryptionKey, (secret) =>
      withSecret(newEncryptionKey, (newSecret) => binding.changeKey(port, folder, bytesOf(secret), bytesOf(newSecret), number))
    )
  )
}

/** @param {Uint8Array | undefined} secret one that was checked to be there */
const bytesOf = (secret) => /** @type {Uint8Array} */ (secret)

module.exports = { backup, compact, verifyCask, repairCask, rewriteCask, changeEncryptionKey }
