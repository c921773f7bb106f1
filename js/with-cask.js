'use strict'

const { createRequire } = require('node:module')
const { runInside, shared } = require('./context.js')
const { CaskError, wrongType } = require('./errors.js')
const { socketKeysOf } = require('./socket-keys.js')

/** @typedef {import('./socket-keys.js').SocketKeys} SocketKeys */

/** Packages whose repository can be asked for, in the order in which they are tried. */
const PACKAGES = ['baileys', '@whiskeysockets/baileys']
const METHODS = /** @type {const} */ (['get', 'set', 'isInTransaction', 'transaction'])

/**
 * Hands a whole Baileys socket over to the cask's own transactions: use it as `makeWASocket(withCask({ auth: state, ... }))`.
 * @template {{ auth: { creds: unknown, keys: unknown } }} C
 * @param {C} config
 * @returns {C}
 */
function withCask(config) {
  if (typeof config !== 'object' || config === null) throw wrongType('config', 'config is what makeWASocket takes')
  const { auth } = config
  const keys = socketKeysOf(/** @type {any} */ (auth)?.keys)
  if (!keys) {
    throw wrongType(
      'auth.keys',
      'auth.keys are not the keys of a cask; pass state.keys of useCaskAuthState itself, without makeCacheableSignalKeyStore or anything else around it'
    )
  }
  const restore = leaveTransaction()
  const { makeSignalRepository: given, logger } = /** @type {any} */ (config)
  return {
    ...config,
    /**
     * @param {{ creds: unknown, keys: any }} auth holds the very object that the socket uses as its keys
     * @param {unknown[]} rest
     */
    makeSignalRepository: (auth, ...rest) => {
      restore()
      const make = given ?? installedRepository(rest.length + 1)
      handOver(auth.keys, keys.socket, /** @type {any} */ (config).auth.keys, logger)
      const repository = make({ ...auth, keys: keys.repository }, ...rest)
      return keys.wrapRepository(repository, rest.length === 0)
    }
  }
}

/**
 * Runs a function outside of the transaction around this call, and all that begins in it.
 * @template T
 * @param {() => T} work
 * @returns {T}
 */
function detached(work) {
  if (typeof work !== 'function') throw wrongType('work', 'work is a function')
  return runInside(undefined, work)
}

/**
 * Leaves the transaction around this call until the socket asks for its repository: a WebSocket that is made inside of one delivers
 * its events there for ever.
 * @returns {() => void} goes back
 */
function leaveTransaction() {
  const { storage } = shared
  const inside = storage.getStore()
  if (inside === undefined) return () => {}
  storage.enterWith(undefined)
  let isOut = true
  return () => {
    if (isOut && storage.getStore() === undefined) storage.enterWith(inside)
    isOut = false
  }
}

/**
 * Puts the cask's methods on the object that the socket uses as its keys, and looks whether they stay there.
 * @param {any} target
 * @param {SocketKeys['socket']} methods
 * @param {unknown} own the keys of the cask
 * @param {any} logger
 */
function handOver(target, methods, own, logger) {
  const warn = (/** @type {string} */ why) =>
    logger?.warn(`withCask has no effect on the socket's own transactions: ${why}; this version of Baileys is not known to baileys-cask`)
  if (target === own) return warn('it uses the keys as they are')
  try {
    Object.assign(target, methods)
  } catch {
    return warn('its keys cannot be changed')
  }
  // What replaces them does so while the socket is being made.
  setImmediate(() => {
    if (METHODS.some((name) => target[name] !== methods[name])) warn('it has replaced the methods of its keys')
  })
}

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

module.exports = { withCask, detached }
