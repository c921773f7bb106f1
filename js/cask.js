'use strict'

const { binding, calls, port, waits, FAILED, LATER, ticket, settled, lastError } = require('./port.js')
const { AccountState, makeAccount } = require('./account.js')
const { isInside, shared } = require('./context.js')
const { reportDamage } = require('./damage.js')
const { CaskError, closedError, wrongType } = require('./errors.js')
const { metrics } = require('./metrics.js')
const { Running } = require('./running.js')
const { watchClose } = require('./slow-close.js')
const { wordsOf } = require('./stacks.js')
const { stats } = require('./stats.js')
const { backup, compact } = require('./upkeep.js')
const { live, lookEvery } = require('./watch.js')

/** @typedef {import('../index.js').Cask} Cask */
/** @typedef {import('../index.js').Account} Account */
/** @typedef {import('../index.js').Logger} Logger */
/** @typedef {{ handle: number, uid: number, path: string | null, cutBytes: number, cutFrames: number, warnings: string[] }} Opened */

/**
 * What belongs to a handle and not to the store.
 * @typedef {Pick<import('../index.js').CaskOptions, 'logger' | 'lockTimeoutMs' | 'transactionTimeoutMs' | 'stallWarnMs' | 'lockStacks'>} HandleOptions
 */

const DEFAULT_TRANSACTION_TIMEOUT_MS = 120_000
const DEFAULT_STALL_WARN_MS = 5000

/** By this, and never by `instanceof`, casks are recognised: another copy of the package may have made them. */
const BRAND = Symbol.for('baileys-cask.cask')
/** What another copy of the package wants to hear of the end of a handle. */
const WHEN_CLOSED = Symbol.for('baileys-cask.when-closed')
const ASYNC_DISPOSE = Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')

/** What stands behind a handle to a cask. */
class CaskState {
  /**
   * @param {Opened} opened
   * @param {import('./codec/decode.js').DecodeHooks} hooks
   * @param {HandleOptions} options
   */
  constructor(opened, hooks, options) {
    this.handle = opened.handle
    this.uid = opened.uid
    this.path = opened.path ?? undefined
    this.hooks = hooks
    this.logger = options.logger
    this.lockTimeoutMs = options.lockTimeoutMs ?? 0
    this.transactionTimeoutMs = options.transactionTimeoutMs ?? DEFAULT_TRANSACTION_TIMEOUT_MS
    this.stallWarnMs = options.stallWarnMs ?? DEFAULT_STALL_WARN_MS
    this.lockStacks = options.lockStacks ?? false
    /** How long after a rollback its left-over work is refused. */
    this.refusesLeftoversMs = this.transactionTimeoutMs || DEFAULT_TRANSACTION_TIMEOUT_MS
    this.lookEvery = lookEvery(this)
    /** @type {Map<string, { state: AccountState, account: Account | undefined, outside: Account | undefined }>} */
    this.accounts = new Map()
    /** What `close` waits for: transactions that have not ended and are not doomed, calls outside that wait for locks, flushes. */
    this.running = new Running()
    /** Called once the handle is given back. @type {Set<() => void>} */
    this.whenClosed = new Set()
    this.endReports = reportDamage(opened.handle, options.logger)
    /** @type {Promise<void> | undefined} */
    this.closing = undefined
    /** Whether the core has the handle back. */
    this.isClosed = false
  }

  /** Refuses calls from outside once `close` was called. */
  check() {
    if (this.closing) throw closedError(this.path)
  }

  /** Refuses what is left over after the close: the numbers of its accounts may stand for others by now. */
  checkOpen() {
    if (this.isClosed) throw closedError(this.path)
  }

  /**
   * @param {string} name
   * @param {unknown} options
   */
  account(name, options) {
    this.check()
    checkAccountName(name)
    const ambient = isAmbient(options)
    let open = this.accounts.get(name)
    if (!open || isDropped(open.state.handle)) {
      const handle = binding.openAccount(port, this.handle, name, this.lockTimeoutMs)
      if (handle === FAILED) throw lastError()
      open = { state: new AccountState(this, name, handle), account: undefined, outside: undefined }
      this.accounts.set(name, open)
    }
    if (ambient) return (open.account ??= makeAccount(open.state, true))
    return (open.outside ??= makeAccount(open.state, false))
  }

  /** Every lock with its holders and waiters, with the stacks that this thread knows. */
  locks() {
    const finders = stackFinders(this.uid)
    /** @type {(party: any) => any} */
    const party = ({ port: of, handle, ticket: call, ...facts }) => {
      const stack = firstStack(finders, of, handle, call)
      return stack === undefined ? facts : { ...facts, stack }
    }
    return this.#describedLocks().map((lock) => ({ ...lock, holders: lock.holders.map(party), waiters: lock.waiters.map(party) }))
  }

  /**
   * What each transaction of this load holds, by its handle.
   * @returns {Map<number, object[]>}
   */
  heldByTransaction() {
    const held = new Map()
    for (const { holders, waiters, ...lock } of this.#describedLocks()) {
      for (const { port: of, handle } of holders) {
        if (handle === undefined || of !== PORT) continue
        const locks = held.get(handle)
        const facts = { ...lock, waiters: waiters.length }
        if (locks) locks.push(facts)
        else held.set(handle, [facts])
      }
    }
    return held
  }

  /** @returns {any[]} */
  #describedLocks() {
    const described = binding.locks(port, this.handle)
    if (typeof described !== 'string') throw lastError()
    return JSON.parse(described)
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
    this.running.begin()
    try {
      const answered = binding.flush(port, this.handle, ticket())
      if (answered === FAILED) throw lastError()
      if (answered === LATER) await settled()
    } finally {
      this.running.end()
    }
  }

  close() {
    this.closing ??= this.#close()
    return this.closing
  }

  async #close() {
    const noLongerWaits = watchClose(this)
    await this.running.ended()
    noLongerWaits()
    this.isClosed = true
    for (const forget of this.whenClosed) forget()
    this.endReports()
    const answered = binding.closeCask(port, this.handle, ticket())
    if (answered === FAILED) throw lastError()
    await settled()
  }
}

/** This load's port, as the core numbers it among those of its thread. */
const PORT = port & 0xff

/** @type {import('./context.js').MakeStackFinder} */
function makeStackFinder(store) {
  const transactions = new Map()
  for (const transaction of live()) if (transaction.cask.uid === store) transactions.set(transaction.handle, transaction)
  return { port: PORT, find: (handle, call) => wordsOf((call === undefined ? transactions.get(handle) : waits.get(call))?.stack) }
}

shared.loads.add(new WeakRef(makeStackFinder))

/**
 * What all loads of this thread know of the calls on a store, for one look.
 * @param {number} store
 */
function stackFinders(store) {
  const finders = []
  for (const load of shared.loads) {
    const made = load.deref()?.(store)
    if (made) finders.push(made)
    else shared.loads.delete(load)
  }
  return finders
}

/**
 * @param {ReturnType<typeof stackFinders>} finders loads of another file copy of the addon have port numbers of their own, maybe the same
 * @param {number | undefined} of port of the call; none of another thread's
 * @param {number | undefined} handle
 * @param {number | undefined} call
 */
function firstStack(finders, of, handle, call) {
  for (const finder of finders) {
    const stack = finder.port === of ? finder.find(handle, call) : undefined
    if (stack !== undefined) return stack
  }
  return undefined
}

/**
 * Whether an account's keys take part in the transaction around a call.
 * @param {any} options
 */
function isAmbient(options) {
  if (options === undefined) return true
  if (typeof options !== 'object' || options === null || Array.isArray(options)) throw wrongType('options', 'options are an object')
  for (const name of Object.keys(options)) {
    if (name !== 'ambient') throw wrongType('options', `options.${name} is not known; known is ambient`)
  }
  const { ambient = true } = options
  if (typeof ambient !== 'boolean') throw wrongType('ambient', 'ambient is true or false')
  return ambient
}

/**
 * @param {unknown} name
 * @param {string} [argument]
 */
function checkAccountName(name, argument = 'name') {
  if (typeof name !== 'string' || name === '' || !name.isWellFormed()) {
    throw wrongType(argument, 'an account\'s name is a string that is not empty and holds no half of a surrogate pair')
  }
}

/**
 * Whether the account was dropped, by this handle to the cask or another one: a read of nothing tells.
 * @param {number} handle
 */
function isDropped(handle) {
  return calls.get(port, handle, 0, 0, ticket()) === FAILED && lastError().code === 'ERR_CASK_DROPPED'
}

/**
 * @param {Opened} opened
 * @param {import('./codec/decode.js').DecodeHooks} hooks
 * @param {HandleOptions} options
 * @returns {Cask}
 */
function makeCask(opened, hooks, options) {
  const state = new CaskState(opened, hooks, options)
  const close = async () => {
    if (isInside(({ account }) => account.cask === state)) {
      throw new CaskError('ERR_CASK_INVALID_ARGUMENT', 'close() inside a transaction of the same cask would wait for itself; close it after')
    }
    await state.close()
  }
  /** @type {any} */
  const cask = {
    path: state.path,
    recovery: Object.freeze({ cutBytes: opened.cutBytes, cutFrames: opened.cutFrames }),
    account: (/** @type {any} */ name = 'default', /** @type {any} */ accountOptions) => state.account(name, accountOptions),
    accounts: async () => {
      state.check()
      const names = binding.accounts(port, state.handle)
      if (typeof names !== 'string') throw lastError()
      return JSON.parse(names)
    },
    flush: () => state.flush(),
    backup: async (/** @type {any} */ path, /** @type {any} */ options) => backup(state, path, options),
    compact: async () => compact(state),
    locks: () => {
      state.check()
      return state.locks()
    },
    stats: (/** @type {any} */ options) => {
      state.check()
      return stats(state, options)
    },
    metrics: (/** @type {any} */ options) => {
      state.check()
      return metrics((each) => stats(state, each), options)
    },
    close,
    [ASYNC_DISPOSE]: close
  }
  Object.defineProperty(cask, BRAND, { value: opened.uid })
  Object.defineProperty(cask, WHEN_CLOSED, { value: state.whenClosed })
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

/**
 * Has a function called when a handle is given back.
 * @param {any} cask
 * @param {() => void} work
 */
function whenClosed(cask, work) {
  cask[WHEN_CLOSED].add(work)
}

// `makeStackFinder` is here so that it lives as long as this load does.
module.exports = { makeStackFinder, CaskState, makeCask, isCask, storeOf, whenClosed, checkAccountName }
