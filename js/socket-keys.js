'use strict'

const { setTimeout: sleep } = require('node:timers/promises')
const { HOME } = require('./port.js')
const { around, running } = require('./context.js')
const { atCaller } = require('./errors.js')
const { transact } = require('./transaction.js')
const { ALL_READS, INDEPENDENT, LAST_RESORT, checkWork, planFor, planWith, readsOf } = require('./transaction-options.js')

/** @typedef {import('./account.js').AccountState} AccountState */
/** @typedef {import('./transaction.js').TransactionState} TransactionState */
/** @typedef {import('./transaction-options.js').Plan} Plan */

/**
 * The keys of a socket that runs on a cask's transactions.
 * @typedef {object} SocketKeys
 * @property {Record<string, any>} socket methods for the socket's own keys
 * @property {Record<string, any>} repository keys of its Signal repository
 * @property {(repository: any, isBare: boolean) => any} wrapRepository
 */

/** By this the keys of a cask are recognised, made by whatever copy of this package; it gives them for a socket. */
const KEYS_BRAND = Symbol.for('baileys-cask.socket-keys')

/** What Baileys answers from its own caches anyway. */
const CACHED_BY_BAILEYS = readsOf(['lid-mapping', 'device-list'])
/** No ratchet is locked across the network calls inside the socket's own transactions: their reads lock nothing but these. */
const SOCKET = readsOf(['sender-key-memory', 'tctoken', 'app-state-sync-key', 'app-state-sync-version']) | LAST_RESORT
/** A ratchet step is stored before its ciphertext leaves, and stays when the send around it fails. */
const REPOSITORY = (ALL_READS & ~CACHED_BY_BAILEYS) | INDEPENDENT

/** A repository transaction that was a deadlock's victim is run again so many times: it reads everything again. */
const RETRIES = 5
const MAX_JITTER_MS = 10

/**
 * @param {any} keys
 * @returns {SocketKeys | undefined} nothing where they are not the keys of a cask
 */
function socketKeysOf(keys) {
  const make = typeof keys === 'object' && keys !== null ? keys[KEYS_BRAND] : undefined
  return typeof make === 'function' ? make() : undefined
}

/**
 * @param {object} keys
 * @param {AccountState} account
 */
function brand(keys, account) {
  Object.defineProperty(keys, KEYS_BRAND, { value: () => makeSocketKeys(account) })
}

/**
 * @param {AccountState} account
 * @returns {SocketKeys}
 */
function makeSocketKeys(account) {
  const repository = makeRepositoryKeys(account)
  return {
    socket: makeOwnKeys(account),
    repository,
    wrapRepository: (made, isBare) => wrapRepository(made, isBare, (work, label) => repository.transaction(work, label))
  }
}

/**
 * Begins a transaction inside the one around the call.
 * @param {AccountState} account
 * @param {unknown} work
 * @param {() => Plan} makePlan
 * @param {number} settings
 * @param {string} role
 * @param {Function} called
 */
function begin(account, work, makePlan, settings, role, called) {
  const outer = running(account.key)
  try {
    if (outer) outer.check()
    else account.cask.check()
    checkWork(work)
    const plan = makePlan()
    return transact(account, outer ?? around(account.cask.uid, HOME), work, { ...plan, settings: settings | (plan.settings & ~ALL_READS), role }, called)
  } catch (error) {
    return Promise.reject(error === outer?.doomedBy ? error : atCaller(error, called))
  }
}

/**
 * Methods for the keys that a socket uses itself: what is called inside a transaction takes part in it.
 * @param {AccountState} account
 */
function makeOwnKeys(account) {
  const { records } = account
  /** @type {any} */
  const keys = {
    get: (/** @type {any} */ family, /** @type {any} */ ids) => {
      const transaction = running(account.key)
      return transaction ? transaction.facade.get(family, ids) : outside(account, () => records.get(family, ids), keys.get)
    },
    set: (/** @type {any} */ data) => {
      const transaction = running(account.key)
      return transaction ? transaction.facade.set(data) : outside(account, () => records.set(data), keys.set)
    },
    clear: () => {
      const transaction = running(account.key)
      return transaction ? transaction.facade.clear() : outside(account, () => records.clear(), keys.clear)
    },
    list: (/** @type {any} */ family) => (running(account.key)?.facade ?? records).list(family),
    listIds: (/** @type {any} */ family) => (running(account.key)?.facade ?? records).listIds(family),
    isInTransaction: () => running(account.key) !== undefined,
    transaction: (/** @type {any} */ work, /** @type {any} */ label, /** @type {any} */ options) =>
      begin(account, work, () => planFor(label, options), SOCKET, 'socket', keys.transaction),
    transactWith: (/** @type {any} */ scope, /** @type {any} */ work, /** @type {any} */ options) =>
      begin(account, work, () => planWith(scope, options), SOCKET, 'socket', keys.transactWith)
  }
  return keys
}

/**
 * Keys of the Signal repository. Its transactions are independent; outside of them its calls take no part in the socket's.
 * @param {AccountState} account
 */
function makeRepositoryKeys(account) {
  const { records } = account
  /** The repository's transaction around this call. */
  const own = () => {
    const transaction = running(account.key)
    return transaction?.role === 'repository' ? transaction : undefined
  }
  /** @type {any} */
  const keys = {
    get: (/** @type {any} */ family, /** @type {any} */ ids) => {
      const transaction = own()
      if (transaction) return transaction.facade.get(family, ids)
      const other = running(account.key)
      const seen = other && !other.doomedBy ? other.records.aside() : records
      return outside(account, () => seen.get(family, ids), keys.get)
    },
    set: (/** @type {any} */ data) => {
      const transaction = own()
      if (transaction) return transaction.facade.set(data)
      const other = running(account.key)
      if (!other || other.doomedBy) return outside(account, () => records.set(data), keys.set)
      // At once, and under what the socket's transaction has locked.
      return retried(account, () => begin(account, (/** @type {any} */ tx) => tx.set(data), () => planFor(undefined, undefined), REPOSITORY, 'repository', keys.set))
    },
    isInTransaction: () => own() !== undefined,
    transaction: (/** @type {any} */ work, /** @type {any} */ label, /** @type {any} */ options) =>
      retried(account, () => begin(account, work, () => planFor(label, options), REPOSITORY, 'repository', keys.transaction)),
    transactWith: (/** @type {any} */ scope, /** @type {any} */ work, /** @type {any} */ options) =>
      retried(account, () => begin(account, work, () => planWith(scope, options), REPOSITORY, 'repository', keys.transactWith))
  }
  return keys
}

/**
 * A call outside of transactions.
 * @template T
 * @param {AccountState} account
 * @param {() => T | Promise<T>} call
 * @param {Function} called
 * @returns {Promise<T>}
 */
function outside(account, call, called) {
  try {
    if (!running(account.key)) account.cask.check()
    return Promise.resolve(call())
  } catch (error) {
    return Promise.reject(atCaller(error, called))
  }
}

/**
 * Runs a transaction again where it was a deadlock's victim by itself: Baileys retries nothing.
 * @param {AccountState} account
 * @param {() => Promise<any>} run
 * @returns {Promise<any>}
 */
async function retried(account, run) {
  for (let left = RETRIES; ; left--) {
    try {
      return await run()
    } catch (error) {
      const isVictim = /** @type {any} */ (error)?.code === 'ERR_CASK_DEADLOCK' && running(account.key)?.doomedBy !== error
      if (left === 0 || !isVictim) throw error
      await sleep(Math.random() * MAX_JITTER_MS)
    }
  }
}

/**
 * Gives a repository whose methods open no transactions one for each call that touches a ratchet.
 * @param {any} repository
 * @param {boolean} isBare whether it opens none at all, as that of Baileys 6.7
 * @param {(work: () => Promise<unknown>, label: string) => Promise<unknown>} transaction
 */
function wrapRepository(repository, isBare, transaction) {
  const { jidToSignalProtocolAddress: addressOf } = repository
  /** @type {Record<string, (call: any) => string>} */
  const labels = {
    // It looks whether there is a sender key before it begins its transaction, and writes an empty one where there was none.
    processSenderKeyDistributionMessage: ({ item }) => item.groupId,
    ...(isBare
      ? {
          decryptGroupMessage: ({ group }) => group,
          encryptGroupMessage: ({ group }) => group,
          decryptMessage: ({ jid }) => addressOf(jid),
          encryptMessage: ({ jid }) => addressOf(jid),
          injectE2ESession: ({ jid }) => addressOf(jid)
        }
      : {})
  }
  for (const [name, labelOf] of Object.entries(labels)) {
    const method = repository[name]
    if (typeof method !== 'function') continue
    repository[name] = async (/** @type {any} */ call) => {
      const run = () => Reflect.apply(method, repository, [call])
      const label = labelOf(call)
      // Without a name there is nothing to lock; the method says what is wrong.
      return typeof label === 'string' && label !== '' ? transaction(run, label) : run()
    }
  }
  return repository
}

module.exports = { brand, socketKeysOf }
