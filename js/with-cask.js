'use strict'

const { runInside } = require('./context.js')
const { wrongType } = require('./errors.js')
const { installedRepository } = require('./installed-repository.js')
const { socketKeysOf } = require('./socket-keys.js')
const { WayOut } = require('./way-out.js')

/** @typedef {import('./socket-keys.js').SocketKeys} SocketKeys */

const METHODS = /** @type {const} */ (['get', 'set', 'isInTransaction', 'transaction'])
/** What the function that makes the repository was before: a config may pass through `withCask` twice. */
const ORIGINAL = Symbol.for('baileys-cask.original-repository')

/**
 * Hands a whole Baileys socket over to the cask's own transactions: use it as `makeWASocket(withCask({ auth: state, ... }))`.
 * @template {{ auth: { creds: unknown, keys: unknown } }} C
 * @param {C} config
 * @returns {C}
 */
function withCask(config) {
  if (typeof config !== 'object' || config === null) throw wrongType('config', 'config is what makeWASocket takes')
  const { auth, logger, makeSignalRepository: given } = /** @type {any} */ (config)
  if (!socketKeysOf(auth?.keys)) {
    throw wrongType(
      'auth.keys',
      'auth.keys are not the keys of a cask; pass state.keys of useCaskAuthState itself, without makeCacheableSignalKeyStore or anything else around it'
    )
  }
  const original = given && ORIGINAL in given ? given[ORIGINAL] : given
  const wayOut = new WayOut()
  /**
   * @param {{ creds: any, keys: any }} socket holds the very object that the socket uses as its keys
   * @param {unknown[]} rest
   */
  const makeSignalRepository = (socket, ...rest) => {
    if (!isSameIdentity(socket.creds, auth.creds)) {
      throw wrongType('auth', 'the socket was given another auth than withCask; pass the auth that it shall use to withCask')
    }
    const make = original ?? installedRepository(rest.length + 1)
    const keys = /** @type {SocketKeys} */ (socketKeysOf(auth.keys))
    const repository = keys.wrapRepository(make({ ...socket, keys: keys.repository }, ...rest), rest.length === 0)
    handOver(socket.keys, keys.socket, auth.keys, wayOut.halfWay(), logger ?? rest[0] ?? keys.logger)
    return repository
  }
  return wayOut.through({ ...config, makeSignalRepository: Object.assign(makeSignalRepository, { [ORIGINAL]: original }) })
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
 * Whether creds are of one identity: those of another account with this account's keys would destroy both.
 * @param {any} creds
 * @param {any} own
 */
function isSameIdentity(creds, own) {
  return creds === own || (creds?.registrationId === own?.registrationId && creds?.signedIdentityKey === own?.signedIdentityKey)
}

/**
 * Puts the cask's methods on the object that the socket uses as its keys, and looks afterwards whether that had its effect.
 * @param {any} target
 * @param {SocketKeys['socket']} methods
 * @param {unknown} own the keys of the cask
 * @param {() => boolean} isOut
 * @param {any} logger
 */
function handOver(target, methods, own, isOut, logger) {
  const say = (/** @type {string} */ text) => {
    // Nobody could catch what a logger throws here.
    try { logger?.warn(text) } catch {}
  }
  const warn = (/** @type {string} */ why) =>
    say(`withCask has no effect on the socket's own transactions: ${why}; this version of Baileys is not known to baileys-cask`)
  const failed = target === own ? 'it uses the keys as they are' : assigned(target, methods) ? undefined : 'its keys cannot be changed'
  if (failed) warn(failed)
  // What replaces them does so while the socket is being made.
  setImmediate(() => {
    if (!failed && METHODS.some((name) => target[name] !== methods[name])) warn('it has replaced the methods of its keys')
    if (!isOut()) {
      say(
        'a socket was made inside of a transaction and could not leave it, so that its events belong to that transaction; make it with detached(() => makeWASocket(withCask(config)))'
      )
    }
  })
}

/**
 * @param {object} target
 * @param {object} methods
 */
function assigned(target, methods) {
  try {
    Object.assign(target, methods)
    return true
  } catch {
    return false
  }
}

module.exports = { withCask, detached }
