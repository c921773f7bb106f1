'use strict'

const { binding, port, FAILED, LATER, ticket, settled, lastError } = require('./port.js')
const { running, writing } = require('./context.js')
const { CaskError, atCaller } = require('./errors.js')
const { RecordAccess } = require('./record-access.js')
const { transact } = require('./transaction.js')

/** @typedef {import('./cask.js').CaskState} CaskState */
/** @typedef {import('./codec/decode.js').DecodeHooks} DecodeHooks */
/** @typedef {import('../index.js').Account} Account */
/** @typedef {import('../index.js').KeyStore} KeyStore */

/** What stands behind an account's handle. */
class AccountState {
  /**
   * @param {CaskState} cask
   * @param {string} name
   * @param {number} handle
   */
  constructor(cask, name, handle) {
    this.cask = cask
    this.name = name
    this.handle = handle
    /** The same for every handle of this account in this process. */
    this.key = `${cask.uid}/${name}`
    /** @type {DecodeHooks} */
    this.hooks = cask.hooks
    this.records = new RecordAccess(handle, 0, cask.hooks)
  }
}

/**
 * @param {AccountState} account
 * @returns {Account}
 */
function makeAccount(account) {
  const { cask, records } = account
  // close() lets running transactions finish, and Baileys saves creds inside of them.
  const checkCall = () => {
    if (!running(account.key)) cask.check()
  }
  return {
    name: account.name,
    keys: makeKeys(account),
    loadCreds: async () => {
      checkCall()
      return /** @type {any} */ (records.getCreds())
    },
    saveCreds: async (creds) => {
      checkCall()
      await records.setCreds(creds)
    },
    drop: async () => {
      cask.check()
      if (running(account.key)) {
        throw new CaskError('ERR_CASK_INVALID_ARGUMENT', `account ${account.name} cannot be dropped inside one of its own transactions; drop it after`, {
          account: account.name
        })
      }
      const answered = binding.dropAccount(port, account.handle, ticket())
      if (answered === FAILED) throw lastError()
      cask.forget(account.name)
      if (answered === LATER) await settled()
    }
  }
}

/**
 * The keys of an account: plain functions, which may be taken off the object. A call inside a transaction of the account
 * takes part in it.
 * @param {AccountState} account
 * @returns {KeyStore}
 */
function makeKeys(account) {
  const { cask, key, records } = account
  /** @type {any} */
  const keys = {
    get: (/** @type {unknown} */ family, /** @type {unknown} */ ids) => {
      try {
        const transaction = running(key)
        if (transaction) return transaction.facade.get(/** @type {any} */ (family), /** @type {any} */ (ids))
        cask.check()
        return Promise.resolve(records.get(family, ids))
      } catch (error) {
        return Promise.reject(atCaller(error, keys.get))
      }
    },
    set: (/** @type {unknown} */ data) => {
      try {
        const transaction = writing(key)
        if (transaction) return transaction.facade.set(/** @type {any} */ (data))
        cask.check()
        return Promise.resolve(records.set(data))
      } catch (error) {
        return Promise.reject(atCaller(error, keys.set))
      }
    },
    clear: () => {
      try {
        const transaction = writing(key)
        if (transaction) return transaction.facade.clear()
        cask.check()
        return Promise.resolve(records.clear())
      } catch (error) {
        return Promise.reject(atCaller(error, keys.clear))
      }
    },
    list: (/** @type {any} */ family) => (running(key)?.facade ?? records).list(family),
    listIds: (/** @type {any} */ family) => (running(key)?.facade ?? records).listIds(family),
    isInTransaction: () => running(key) !== undefined,
    transaction: (/** @type {any} */ work, /** @type {any} */ label, /** @type {any} */ options) => {
      const outer = running(key)
      if (outer) return outer.facade.transaction(work, label, options)
      try {
        cask.check()
        return transact(account, undefined, work, label, options)
      } catch (error) {
        return Promise.reject(atCaller(error, keys.transaction))
      }
    }
  }
  return keys
}

module.exports = { AccountState, makeAccount }
