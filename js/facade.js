'use strict'

/** @typedef {import('./transaction.js').TransactionState} TransactionState */

/**
 * The handle that `work` receives. Its methods are bound to the transaction whatever the async context, also when they are taken off it;
 * each is made when it is asked for, since most work uses few of them.
 */
class Facade {
  #state

  /** @param {TransactionState} state */
  constructor(state) {
    this.#state = state
  }

  get get() {
    const state = this.#state
    const get = (/** @type {any} */ family, /** @type {any} */ ids) => state.get(family, ids, get)
    return get
  }

  get set() {
    const state = this.#state
    const set = (/** @type {any} */ data) => state.set(data, set)
    return set
  }

  get clear() {
    const state = this.#state
    const clear = () => state.call(() => state.records.clear(), clear)
    return clear
  }

  get setCreds() {
    const state = this.#state
    const setCreds = (/** @type {any} */ creds) => state.call(() => state.records.setCreds(creds), setCreds)
    return setCreds
  }

  get list() {
    const state = this.#state
    const list = (/** @type {any} */ family) => state.records.list(family, list)
    return list
  }

  get listIds() {
    const state = this.#state
    const listIds = (/** @type {any} */ family) => state.records.listIds(family, listIds)
    return listIds
  }

  get isInTransaction() {
    const state = this.#state
    return () => state.phase === 'running'
  }

  get transaction() {
    const state = this.#state
    const transaction = (/** @type {any} */ work, /** @type {any} */ label, /** @type {any} */ options) =>
      state.beginInside(work, label, options, transaction)
    return transaction
  }

  get transactWith() {
    const state = this.#state
    const transactWith = (/** @type {any} */ scope, /** @type {any} */ work, /** @type {any} */ options) =>
      state.beginWithInside(scope, work, options, transactWith)
    return transactWith
  }

  get joined() {
    return this.#state.joined()
  }
}

module.exports = { Facade }
