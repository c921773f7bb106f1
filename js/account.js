'use strict'

const { HOME, binding, port, FAILED, LATER, ticket, settled, lastError } = require('./port.js')
const { brandAccount } = require('./account-brand.js')
const { around, isInside, running, writing } = require('./context.js')
const { CaskError, atCaller } = require('./errors.js')
const { waitForLocks } = require('./lock-wait.js')
const { RecordAccess } = require('./record-access.js')
const { brand } = require('./socket-keys.js')
const { stackOf } = require('./stacks.js')
const { transact } = require('./transaction.js')
const { PLAIN, checkWork, planFor, planWith } = require('./transaction-options.js')
const { live } = require('./watch.js')

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
    /** The function below the caller of the call that is being made outside of transactions. @type {Function} */
    this.called = AccountState
    const who = {
      describe: () => ({ account: name }),
      waitBegan: () => cask.running.begin(),
      waitEnded: () => cask.running.end()
    }
    this.records = new RecordAccess(handle, 0, cask.hooks, {
      wait: () => waitForLocks(cask, who, this.called),
      callStack: () => (cask.lockStacks ? stackOf(this.called) : undefined),
      call: async (work) => {
        cask.checkOpen()
        return work()
      }
    })
  }

  droppedError() {
    return new CaskError('ERR_CASK_DROPPED', `account ${this.name} was dropped; take a new handle with cask.account()`, { account: this.name })
  }
}

/**
 * @param {AccountState} account
 * @param {boolean} ambient whether its keys take part in the transaction around a call
 * @returns {Account}
 */
function makeAccount(account, ambient) {
  const { cask, records } = account
  // close() lets running transactions finish, and Baileys saves creds inside of them.
  const checkCall = () => {
    if (running(account.key)) cask.checkOpen()
    else cask.check()
  }
  const saveCreds = async (/** @type {unknown} */ creds) => {
    checkCall()
    const transaction = running(account.key)
    if (transaction && !transaction.doomedBy) return transaction.saveCreds(creds, saveCreds)
    const outer = transaction ? undefined : around(cask.uid, HOME)
    if (outer) return transact(account, outer, (/** @type {any} */ tx) => tx.setCreds(creds), PLAIN, saveCreds)
    account.called = saveCreds
    await records.setCreds(creds)
  }
  /** @type {Account} */
  const handle = {
    name: account.name,
    keys: makeKeys(account, ambient),
    loadCreds: async () => {
      checkCall()
      return /** @type {any} */ (records.getCreds())
    },
    saveCreds,
    drop: async () => {
      cask.check()
      if (isInside((transaction) => transaction.account.key === account.key)) {
        throw new CaskError('ERR_CASK_INVALID_ARGUMENT', `account ${account.name} cannot be dropped inside one of its own transactions; drop it after`, {
          account: account.name
        })
      }
      const answered = binding.dropAccount(port, account.handle, ticket())
      if (answered === FAILED) throw lastError()
      cask.forget(account.name)
      for (const transaction of live()) {
        if (transaction.account.key === account.key) transaction.giveUp(account.droppedError())
      }
      if (answered === LATER) await settled()
    }
  }
  brandAccount(handle, account)
  return handle
}

/**
 * The keys of an account: plain functions, which may be taken off the object. A call inside a transaction of the account
 * takes part in it.
 * @param {AccountState} account
 * @param {boolean} ambient
 * @returns {KeyStore}
 */
function makeKeys(account, ambient) {
  const { cask, key, records } = account
  const inside = ambient ? () => running(key) : () => undefined
  const insideToWrite = ambient ? () => writing(key) : () => undefined
  /** The transaction of another account around a write, which waits for it: who waits for both has to be seen. */
  const linked = ambient ? () => around(cask.uid, HOME) : () => undefined
  /**
   * @param {any} work
   * @param {() => import('./transaction-options.js').Plan} makePlan
   * @param {Function} called
   */
  const begin = (work, makePlan, called) => {
    try {
      cask.check()
      checkWork(work)
      return transact(account, linked(), work, makePlan(), called)
    } catch (error) {
      return Promise.reject(atCaller(error, called))
    }
  }
  /** What a walk goes through. It may go on while the cask closes, and none begins then. */
  const walked = () => inside()?.facade ?? (cask.closing ? { list: closedWalk, listIds: closedWalk } : records)
  async function* closedWalk() {
    cask.check()
  }
  /** @type {any} */
  const keys = {
    get: (/** @type {unknown} */ family, /** @type {unknown} */ ids) => {
      try {
        const transaction = inside()
        if (transaction) return transaction.get(family, ids, keys.get)
        cask.check()
        return Promise.resolve(records.get(family, ids))
      } catch (error) {
        return Promise.reject(atCaller(error, keys.get))
      }
    },
    set: (/** @type {unknown} */ data) => {
      try {
        const transaction = insideToWrite()
        if (transaction) return transaction.set(data, keys.set)
        cask.check()
        const outer = linked()
        if (outer) return transact(account, outer, (/** @type {any} */ tx) => tx.set(data), PLAIN, keys.set)
        account.called = keys.set
        return Promise.resolve(records.set(data))
      } catch (error) {
        return Promise.reject(atCaller(error, keys.set))
      }
    },
    clear: () => {
      try {
        const transaction = insideToWrite()
        if (transaction) return transaction.facade.clear()
        cask.check()
        const outer = linked()
        if (outer) return transact(account, outer, (/** @type {any} */ tx) => tx.clear(), PLAIN, keys.clear)
        account.called = keys.clear
        return Promise.resolve(records.clear())
      } catch (error) {
        return Promise.reject(atCaller(error, keys.clear))
      }
    },
    list: (/** @type {any} */ family) => walked().list(family),
    listIds: (/** @type {any} */ family) => walked().listIds(family),
    isInTransaction: () => inside() !== undefined,
    transaction: (/** @type {any} */ work, /** @type {any} */ label, /** @type {any} */ options) => {
      const outer = inside()
      if (outer) return outer.facade.transaction(work, label, options)
      return begin(work, () => planFor(label, options), keys.transaction)
    },
    transactWith: (/** @type {any} */ scope, /** @type {any} */ work, /** @type {any} */ options) => {
      const outer = inside()
      if (outer) return outer.facade.transactWith(scope, work, options)
      return begin(work, () => planWith(scope, options), keys.transactWith)
    }
  }
  brand(keys, account)
  return keys
}

module.exports = { AccountState, makeAccount }
