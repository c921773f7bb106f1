'use strict'

const { binding, port, FAILED, LATER, ticket, settled, lastError } = require('./port.js')
const { AccountState, makeAccount } = require('./account.js')
const { current } = require('./context.js')
const { CaskError, wrongType } = require('./errors.js')
const { addTo } = require('./running.js')
const { closedError } = require('./record-access.js')

/** @typedef {import('../index.js').Cask} Cask */
/** @typedef {import('../index.js').Account} Account */
/** @typedef {import('../index.js').Logger} Logger */
/** @typedef {{ handle: number, uid: number, path: string | null, cutBytes: number, cutFrames: number, warnings: string[] }} Opened */

/** By this, and never by `instanceof`, casks are recognised: another copy of the package may have made them. */
const BRAND = Symbol.for('baileys-cask.cask')
const ASYNC_DISPOSE = Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')

/** What stands behind a handle to a cask. */
class CaskState {
  /**
   * @param {Opened} opened
   * @param {import('./codec/decode.js').DecodeHooks} hooks
   */
  constructor(opened, hooks) {
    this.handle = opened.handle
    this.uid = opened.uid
    this.hooks = hooks
    /** @type {Map<string, { handle: number, account: Account }>} */
    this.accounts = new Map()
    /** Outermost transactions and flushes that have not ended. @type {Set<Promise<unknown>>} */
    this.running = new Set()
    /** @type {Promise<void> | undefined} */
    this.closing = undefined
  }

  /** Refuses calls from outside once `close` was called. */
  check() {
    if (this.closing) throw closedError()
  }

  /**
   * Makes `close` wait.
   * @returns {() => void} to be called when the work has ended
   */
  addRunning() {
    return addTo(this.running)
  }

  /** @param {string} name */
  account(name) {
    this.check()
    checkAccountName(name)
    const open = this.accounts.get(name)
    if (open && !isDropped(open.handle)) return open.account
    const handle = binding.openAccount(port, this.handle, name)
    if (handle === FAILED) throw lastError()
    const account = makeAccount(new AccountState(this, name, handle))
    this.accounts.set(name, { handle, account })
    return account
  }

  /**
   * Makes the next handle of a dropped account a new one.
   * @param {string} name
   */
  forget(name) {
    this.accounts.delete(name)
  }

  async flush() {
    this.check()
    const ended = this.addRunning()
    try {
      const answered = binding.flush(port, this.handle, ticket())
      if (answered === FAILED) throw lastError()
      if (answered === LATER) await settled()
    } finally {
      ended()
    }
  }

  close() {
    this.closing ??= this.#close()
    return this.closing
  }

  async #close() {
    while (this.running.size > 0) await Promise.all(this.running)
    const answered = binding.closeCask(port, this.handle, ticket())
    if (answered === FAILED) throw lastError()
    await settled()
  }
}

/** @param {unknown} name */
function checkAccountName(name) {
  if (typeof name !== 'string' || name === '' || !name.isWellFormed()) {
    throw wrongType('name', 'an account\'s name is a string that is not empty and holds no half of a surrogate pair')
  }
}

/**
 * Whether the account was dropped, by this handle to the cask or another one: a read of nothing tells.
 * @param {number} handle
 */
function isDropped(handle) {
  return binding.get(port, handle, 0, 0, ticket()) === FAILED && lastError().code === 'ERR_CASK_DROPPED'
}

/**
 * @param {Opened} opened
 * @param {import('./codec/decode.js').DecodeHooks} hooks
 * @returns {Cask}
 */
function makeCask(opened, hooks) {
  const state = new CaskState(opened, hooks)
  const close = async () => {
    for (let context = current(); context; context = context.outer) {
      // Work that outlived its transaction is waited for by nobody.
      if (context.transaction.account.cask === state && context.transaction.phase === 'running') {
        throw new CaskError('ERR_CASK_INVALID_ARGUMENT', 'close() inside a transaction of the same cask would wait for itself; close it after')
      }
    }
    await state.close()
  }
  /** @type {any} */
  const cask = {
    path: opened.path ?? undefined,
    recovery: Object.freeze({ cutBytes: opened.cutBytes, cutFrames: opened.cutFrames }),
    account: (/** @type {any} */ name = 'default') => state.account(name),
    accounts: async () => {
      state.check()
      const names = binding.accounts(port, state.handle)
      if (typeof names !== 'string') throw lastError()
      return JSON.parse(names)
    },
    flush: () => state.flush(),
    close,
    [ASYNC_DISPOSE]: close
  }
  Object.defineProperty(cask, BRAND, { value: opened.uid })
  return cask
}

/**
 * Whether a value is a cask, made by whatever copy of this package.
 * @param {any} value
 * @returns {value is Cask}
 */
function isCask(value) {
  return typeof value === 'object' && value !== null && BRAND in value
}

/**
 * Number of the store behind a cask, unique in this process.
 * @param {any} cask
 * @returns {number}
 */
function storeOf(cask) {
  return cask[BRAND]
}

module.exports = { CaskState, makeCask, isCask, storeOf, checkAccountName }
