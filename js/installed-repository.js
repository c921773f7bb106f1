'use strict'

const { createRequire } = require('node:module')
const { CaskError } = require('./errors.js')

/** Packages whose repository can be asked for, in the order in which they are tried. */
const PACKAGES = ['baileys', '@whiskeysockets/baileys']

/**
 * The function that makes the repository of the installed Baileys whose repository takes so many arguments.
 * @param {number} count
 * @returns {(...args: any[]) => any}
 */
function installedRepository(count) {
  const require = createRequire(__filename)
  const found = []
  for (const name of PACKAGES) {
    const make = load(require, name)?.DEFAULT_CONNECTION_CONFIG?.makeSignalRepository
    if (typeof make === 'function') found.push(make)
  }
  const fitting = found.find((make) => make.length === count) ?? found[0]
  if (fitting) return fitting
  throw new CaskError(
    'ERR_CASK_BAILEYS_MISSING',
    'withCask needs the repository of Baileys and found none that it can load: pass makeSignalRepository: DEFAULT_CONNECTION_CONFIG.makeSignalRepository, which your Baileys exports, beside auth'
  )
}

/**
 * @param {NodeJS.Require} require
 * @param {string} name
 */
function load(require, name) {
  try {
    return require(name)
  } catch (error) {
    const { code } = /** @type {any} */ (error)
    // Not there, or a Node.js that cannot load an ES module in the middle of a call.
    if (code === 'MODULE_NOT_FOUND' || code === 'ERR_REQUIRE_ESM' || code === 'ERR_REQUIRE_ASYNC_MODULE' || code === 'ERR_PACKAGE_PATH_NOT_EXPORTED') return undefined
    throw error
  }
}

module.exports = { installedRepository }
