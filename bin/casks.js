'use strict'

const { readdirSync, statSync } = require('node:fs')
const { join, resolve } = require('node:path')
const { CaskError } = require('../js/errors.js')
const { library } = require('./library.js')
const { suggestion } = require('./nearest.js')

/** @typedef {import('../index.js').Cask} Cask */
/** @typedef {import('./command.js').Context} Context */

/** By these files a cask is known: opening makes the manifest before anything else. */
const OF_A_CASK = /^(manifest|[0-9a-f]{16}\.seg)$/

/**
 * What is at a path.
 * @param {string} path
 * @returns {'nothing' | 'cask' | 'other' | 'none'} `none` where it is no folder, or cannot be looked into
 */
function whatIsAt(path) {
  try {
    const names = readdirSync(path)
    if (names.length === 0) return 'nothing'
    return names.some((name) => OF_A_CASK.test(name)) ? 'cask' : 'other'
  } catch (error) {
    return /** @type {any} */ (error).code === 'ENOENT' ? 'nothing' : 'none'
  }
}

/**
 * Refuses a path without a cask: opening would make one.
 * @param {string} path
 */
function checkIsCask(path) {
  const there = whatIsAt(path)
  if (there === 'cask') return
  throw refusal(`${path} ${there === 'none' ? 'is no folder' : 'holds no cask'}; give the path of a cask`, { argument: 'path', path: resolve(path) })
}

/**
 * @param {string} message
 * @param {Record<string, unknown>} facts
 */
function refusal(message, facts) {
  return new CaskError('ERR_CASK_INVALID_ARGUMENT', message, facts)
}

/**
 * Works with an open cask, and closes it.
 * @template T
 * @param {Context} context
 * @param {string | undefined} path in memory without one
 * @param {(cask: Cask) => Promise<T>} work
 * @returns {Promise<T>}
 */
async function withCask({ keys, warn }, path, work) {
  const { openCask } = library()
  const cask = path === undefined
    ? await openCask()
    // An import holds its locks for as long as it takes, and nobody else is there to wait for them.
    : await keys.unlock(path, (options) => openCask({ path, logger: loggerTo(warn), stallWarnMs: 0, ...options }))
  let result
  try {
    result = await work(cask)
  } catch (error) {
    // The first failure is the one to tell.
    await cask.close().catch(() => {})
    throw error
  }
  await cask.close()
  return result
}

/**
 * @param {(message: string) => void} warn
 * @returns {import('../index.js').Logger}
 */
function loggerTo(warn) {
  const silent = () => {}
  /** @type {import('../index.js').Logger} */
  const logger = {
    level: 'warn',
    child: () => logger,
    trace: silent,
    debug: silent,
    info: silent,
    warn: (facts, message) => warn(message ?? String(facts)),
    error: (facts, message) => warn(message ?? String(facts))
  }
  return logger
}

/**
 * Refuses an account that is not there.
 * @param {Cask} cask
 * @param {string} name
 */
async function checkAccount(cask, name) {
  const names = await cask.accounts()
  if (names.includes(name)) return
  const SHOWN = 5
  const near = suggestion(name, names)
  const shown = names.slice(0, SHOWN).join(', ') + (names.length > SHOWN ? ` and ${names.length - SHOWN} more` : '')
  const there = near || (names.length === 0 ? '; it holds none' : `; it holds ${shown}`)
  throw refusal(`${cask.path} holds no account ${name}${there}`, { account: name })
}

/**
 * Bytes of all files in a folder, as far as they can be seen.
 * @param {string} folder
 */
function bytesIn(folder) {
  try {
    return readdirSync(folder).reduce((sum, name) => sum + (statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0), 0)
  } catch {
    return 0
  }
}

module.exports = { whatIsAt, checkIsCask, checkAccount, withCask, bytesIn, refusal }
