'use strict'

const { AsyncLocalStorage } = require('node:async_hooks')

/** @typedef {import('./transaction.js').TransactionState} TransactionState */
/** @typedef {import('../index.js').AuthState} AuthState */

/**
 * One level of the ambient context: a transaction, the account it works on, and what it runs inside of.
 * @typedef {object} Context
 * @property {string} account identifies the account over all casks of the process
 * @property {TransactionState} transaction
 * @property {Context | undefined} outer
 */

/**
 * Where a call of one load of this package was made, if that load has the stack.
 * @typedef {(handle: number | undefined, ticket: number | undefined) => string | undefined} FindStack
 */

/**
 * What one load knows of the calls on a store, for one look at its locks.
 * @typedef {(store: number) => { port: number, find: FindStack }} MakeStackFinder
 */

/**
 * What all copies of this major version share in one thread.
 * @typedef {object} Shared
 * @property {AsyncLocalStorage<Context | undefined>} storage
 * @property {Map<string, Promise<AuthState>>} states
 * @property {WeakMap<object, Map<string, Promise<AuthState>>>} statesByCask
 * @property {Set<WeakRef<MakeStackFinder>>} loads one entry for each; weak, since a load ends with its `vm` context
 */

const SHARED = Symbol.for('baileys-cask.v0')

/**
 * One AsyncLocalStorage for all casks of a thread: on Node 20 and 22 each one makes every promise of the process slower.
 * It hangs on a class of Node's own, which is the same object in every `vm` context and for every copy of this package.
 * @type {Shared}
 */
const shared = (/** @type {any} */ (AsyncLocalStorage)[SHARED] ??= {
  storage: new AsyncLocalStorage(),
  states: new Map(),
  statesByCask: new WeakMap()
})
// Another version may have made it, and may not know of this.
shared.loads ??= new Set()

/**
 * Runs `work` inside a transaction, or outside of all.
 * @template T
 * @param {Context | undefined} context
 * @param {() => T} work
 * @returns {T}
 */
function runInside(context, work) {
  return shared.storage.run(context, work)
}

/** @param {Context | undefined} context */
function unforgotten(context) {
  let level = context
  while (level?.transaction.isForgotten()) level = level.outer
  return level
}

/**
 * The context around the current call. Levels that have ended leave it here, from wherever they are: work that begins the next transaction
 * inside the one before would otherwise lengthen it for ever.
 */
function current() {
  const context = unforgotten(shared.storage.getStore())
  /** The innermost level of each account that was rolled back not long ago. @type {Map<string, TransactionState> | undefined} */
  let refusing
  let inner
  for (let level = context; level; level = level.outer) {
    level.outer = unforgotten(level.outer)
    const { account, transaction } = level
    if (transaction.phase === 'rolled back') {
      const nearer = refusing?.get(account)
      if (nearer && inner) {
        // That one refuses for both.
        nearer.refusesUntil = Math.max(nearer.refusesUntil, transaction.refusesUntil)
        inner.outer = level.outer
        continue
      }
      refusing ??= new Map()
      refusing.set(account, transaction)
    }
    inner = level
  }
  return context
}

/**
 * The innermost transaction of an account that is running around the current call.
 * @param {string} account
 * @returns {TransactionState | undefined}
 */
function running(account) {
  for (let context = shared.storage.getStore(); context; context = context.outer) {
    if (context.account === account && context.transaction.phase === 'running') return context.transaction
  }
  return undefined
}

/**
 * Whether a transaction runs around the current call that is not doomed. What is doomed holds nothing, and only its work is left: nobody
 * waits for it.
 * @param {(transaction: TransactionState) => boolean} isMeant
 */
function isInside(isMeant) {
  for (let context = shared.storage.getStore(); context; context = context.outer) {
    const { transaction } = context
    if (transaction.phase === 'running' && transaction.isCounted && isMeant(transaction)) return true
  }
  return false
}

/**
 * What a transaction of an account runs inside of where no other one of that account is running: the innermost of its cask.
 * @param {number} cask number of its store
 * @param {object} home load of the package that asks
 * @returns {TransactionState | undefined}
 */
function around(cask, home) {
  for (let context = shared.storage.getStore(); context; context = context.outer) {
    const { transaction } = context
    if (transaction.phase === 'running' && transaction.home === home && transaction.account.cask.uid === cask && !transaction.doomedBy) {
      return transaction
    }
  }
  return undefined
}

/**
 * What an ambient write takes part in: the innermost transaction of the account that is running, or one that was rolled
 * back not long ago, whose left-over work must not write.
 * @param {string} account
 * @returns {TransactionState | undefined}
 */
function writing(account) {
  for (let context = shared.storage.getStore(); context; context = context.outer) {
    if (context.account !== account) continue
    const { transaction } = context
    if (transaction.phase === 'running' || transaction.refusesLeftovers()) return transaction
  }
  return undefined
}

/** Stands where a level of the context has its transaction: one that has ended, so that every look-up goes on to what is around it. */
const NO_TRANSACTION = /** @type {any} */ ({ phase: 'committed', isForgotten: () => true, refusesLeftovers: () => false })

module.exports = { NO_TRANSACTION, shared, runInside, current, running, isInside, around, writing }
