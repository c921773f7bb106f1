'use strict'

const { HOME } = require('./port.js')
const { around, running } = require('./context.js')
const { atCaller } = require('./errors.js')
const { transact } = require('./transaction.js')
const { ALL_READS, LAST_RESORT, checkWork, planFor, planWith, readsOf } = require('./transaction-options.js')
const { makeRepositoryKeys } = require('./repository-keys.js')
const { wrapRepository } = require('./repository-calls.js')
const { SocketEnd } = require('./socket-end.js')

/** @typedef {import('./account.js').AccountState} AccountState */
/** @typedef {import('./transaction-options.js').Plan} Plan */

/**
 * The keys of one socket that runs on a cask's transactions.
 * @typedef {object} SocketKeys
 * @property {Record<string, any>} socket methods for the socket's own keys
 * @property {Record<string, any>} repository keys of its Signal repository
 * @property {(repository: any, isBare: boolean) => any} wrapRepository `isBare`: it opens no transactions itself, as that of Baileys 6.7
 * @property {unknown} logger
 */

/** By this the keys of a cask are recognised, made by whatever copy of this package; it gives them for a socket. */
const KEYS_BRAND = Symbol.for('baileys-cask.socket-keys')

/** No ratchet is locked across the network calls inside the socket's own transactions: their reads lock nothing but these. */
const SOCKET = readsOf(['sender-key-memory', 'tctoken', 'app-state-sync-key', 'app-state-sync-version']) | LAST_RESORT

/**
 * @param {any} keys
 * @returns {SocketKeys | undefined} nothing where they are not the keys of a cask themselves
 */
function socketKeysOf(keys) {
  const make = typeof keys === 'object' && keys !== null ? keys[KEYS_BRAND] : undefined
  return typeof make === 'function' ? make(keys) : undefined
}

/**
 * @param {object} keys
 * @param {AccountState} account
 */
function brand(keys, account) {
  // What is made over them, as `Object.create` and `Proxy` do, has the brand and is something else.
  Object.defineProperty(keys, KEYS_BRAND, { value: (/** @type {unknown} */ asked) => (asked === keys ? makeSocketKeys(account) : undefined) })
}

/**
 * @param {AccountState} account
 * @returns {SocketKeys}
 */
function makeSocketKeys(account) {
  const { keys, enter } = makeRepositoryKeys(account, (work, makePlan, settings, called) => begin(account, work, makePlan, settings, 'repository', called))
  // What still waits for its server when the socket has ended waits in vain, with locks that the next socket of the account needs.
  const ended = new SocketEnd()
  return {
    socket: makeOwnKeys(account, ended),
    repository: keys,
    wrapRepository: (made, isBare) => wrapRepository(endsWith(made, () => ended.tell()), keys, enter, { isBare, ended }),
    logger: account.cask.logger
  }
}

/**
 * Has a repository that is closed end its socket's transactions first. That of Baileys 6.7 is never closed.
 * @param {any} repository
 * @param {() => void} end
 */
function endsWith(repository, end) {
  const { close } = repository
  if (typeof close === 'function') {
    repository.close = (/** @type {unknown[]} */ ...given) => {
      end()
      return Reflect.apply(close, repository, given)
    }
  }
  return repository
}

/**
 * @param {Plan} plan
 * @param {SocketEnd} ended
 */
function until(plan, ended) {
  plan.signal ??= /** @type {any} */ (ended)
  return plan
}

/**
 * Begins a transaction inside the one around the call.
 * @param {AccountState} account
 * @param {any} work
 * @param {() => Plan} makePlan
 * @param {number} settings
 * @param {string} role
 * @param {Function} called
 * @returns {Promise<any>}
 */
function begin(account, work, makePlan, settings, role, called) {
  const outer = running(account.key)
  try {
    if (outer) outer.check()
    else account.cask.check()
    checkWork(work)
    const plan = makePlan()
    plan.settings = settings | (plan.settings & ~ALL_READS)
    plan.role = role
    return outer ? outer.beginPlanned(work, plan, called) : transact(account, around(account.cask.uid, HOME), work, plan, called)
  } catch (error) {
    return Promise.reject(error === outer?.doomedBy ? error : atCaller(error, called))
  }
}

/**
 * Methods for the keys that a socket uses itself: what is called inside a transaction takes part in it.
 * @param {AccountState} account
 * @param {SocketEnd} ended
 */
function makeOwnKeys(account, ended) {
  const { cask, key, records } = account
  /**
   * @template T
   * @param {() => T | Promise<T>} call
   * @param {Function} called
   * @returns {Promise<T>}
   */
  const outside = (call, called) => {
    try {
      cask.check()
      account.called = called
      return Promise.resolve(call())
    } catch (error) {
      return Promise.reject(atCaller(error, called))
    }
  }
  /** @type {any} */
  const keys = {
    get: (/** @type {any} */ family, /** @type {any} */ ids) => {
      const transaction = running(key)
      return transaction ? transaction.get(family, ids, keys.get) : outside(() => records.get(family, ids), keys.get)
    },
    set: (/** @type {any} */ data) => {
      const transaction = running(key)
      return transaction ? transaction.set(data, keys.set) : outside(() => records.set(data), keys.set)
    },
    clear: () => {
      const transaction = running(key)
      return transaction ? transaction.facade.clear() : outside(() => records.clear(), keys.clear)
    },
    list: (/** @type {any} */ family) => (running(key)?.facade ?? records).list(family),
    listIds: (/** @type {any} */ family) => (running(key)?.facade ?? records).listIds(family),
    isInTransaction: () => running(key) !== undefined,
    transaction: (/** @type {any} */ work, /** @type {any} */ label, /** @type {any} */ options) =>
      begin(account, work, () => until(planFor(label, options), ended), SOCKET, 'socket', keys.transaction),
    transactWith: (/** @type {any} */ scope, /** @type {any} */ work, /** @type {any} */ options) =>
      begin(account, work, () => until(planWith(scope, options), ended), SOCKET, 'socket', keys.transactWith)
  }
  return keys
}

module.exports = { brand, socketKeysOf }
