/** Carries out one client's plan against a store and records what happened. */
import { decode, encode } from './encoding.mjs'
import { pause } from './pause.mjs'
import { ALONE, FAMILIES, IDS } from './plan.mjs'
import { Recorder } from './recorder.mjs'

/** What a store ends that is slow. */
const LIMITS = ['ERR_CASK_TRANSACTION_TIMEOUT', 'ERR_CASK_LOCK_TIMEOUT']

/** Work that fails because its plan says so. */
class Planned extends Error {}

export const recordOf = (account, family, id) => JSON.stringify([account, family, id])
export const CREDS_ID = 'creds'

export class Client {
  #accounts
  #recorder
  /** What runs without anybody waiting for it. */
  #left = new Set()
  /** Errors, and where they came up first. */
  #failures = new Map()
  #limits
  /**
   * @param {{ [name: string]: { keys, loadCreds?, saveCreds? } }} accounts
   * @param {{ keep?: (level: object) => void, limits?: boolean }} [options] `keep`: see `Recorder`; `limits`: whether the store ends
   *   what is slow
   */
  constructor(name, accounts, clock, { keep, limits = false } = {}) {
    this.#accounts = accounts
    this.#recorder = new Recorder(name, clock, keep)
    this.#limits = limits
  }

  get transactions() {
    return this.#recorder.transactions
  }

  /** Errors that no store should give there; to be asked when all is over. */
  get unexpected() {
    const isSlow = error => this.#limits && LIMITS.includes(error.code)
    return [...this.#failures].filter(([error, { isExpected }]) => !isExpected(error) && !isSlow(error)).map(([error, { step }]) => ({ error, step }))
  }

  async run(steps) {
    for (const step of steps) {
      await pause(step.pause)
      // What failed is noted.
      await this.#outside(step).catch(error => this.#note(error, step, () => false))
    }
    // Work of transactions that were given up goes on for a while.
    while (this.#left.size > 0) await Promise.all(this.#left)
  }

  // ---- outside of transactions --------------------------------------------------------------------------
  async #outside(step) {
    const { keys, loadCreds, saveCreds } = this.#accounts[step.account]
    switch (step.do) {
      case 'transaction':
        return this.#transaction(step)
      case 'get':
        for (let left = step.times ?? 1; left > 0; left--) {
          await this.#plain(step, level => this.#get(level, step.account, keys, step))
          if (left > 1) await pause('turn')
        }
        return undefined
      case 'set':
        return this.#plain(step, level => this.#set(level, step.account, keys, step.batch))
      case 'delete':
        return this.#plain(step, level => this.#delete(level, step.account, keys, step.batch))
      case 'clear':
        return this.#plain(step, level => this.#clear(level, step.account, keys))
      case 'list':
        return this.#listOutside(step, keys)
      case 'loadCreds':
        return this.#plain(step, level => this.#recorder.read(level, loadCreds, creds => [[recordOf(step.account, CREDS_ID, CREDS_ID), decode('creds', creds)]]))
      case 'saveCreds':
        return this.#plain(step, level => this.#writeCreds(level, step.account, saveCreds))
      default:
        throw new Error(`unknown step: ${step.do}`)
    }
  }

  /** A call by itself is a short transaction. */
  async #plain(step, call, { isExpected = () => false, ...properties } = {}) {
    const level = this.#recorder.begin({ is: `plain ${step.do}`, ...properties })
    try {
      await call(level)
      this.#recorder.end(level, 'committed')
    } catch (error) {
      this.#recorder.end(level, 'aborted', error)
      this.#note(error, step, isExpected)
      throw error
    }
  }

  /** Ids are as of the call and each value is committed when it is reached: every record is read by itself. */
  async #listOutside(step, keys) {
    const all = this.#recorder.begin({ is: 'plain list' })
    const found = new Map()
    try {
      for await (const [id, value] of keys.list(step.family)) found.set(id, value)
      this.#recorder.end(all, 'committed')
    } catch (error) {
      this.#recorder.end(all, 'aborted', error)
      return this.#note(error, step, () => false)
    }
    const { begin, end } = all
    for (const id of IDS) {
      const read = { kind: 'read', record: recordOf(step.account, step.family, id), value: decode(step.family, found.get(id)), begin, end }
      this.#recorder.add({ is: 'one of a plain list', status: 'committed', begin, ready: begin, end, operations: [read] })
    }
    return undefined
  }

  // ---- calls --------------------------------------------------------------------------------------------
  #get(level, account, store, { family, ids }) {
    return this.#recorder.read(level, () => store.get(family, ids), found => ids.map(id => [recordOf(account, family, id), decode(family, found[id])]))
  }

  #list(level, account, store, { family }) {
    const collect = async () => {
      const found = {}
      for await (const [id, value] of store.list(family)) found[id] = value
      return found
    }
    return this.#recorder.read(level, collect, found => IDS.map(id => [recordOf(account, family, id), decode(family, found[id])]))
  }

  /** Writes new versions to registers, all in one batch. */
  #set(level, account, store, batch) {
    const data = {}
    const values = []
    for (const [family, ids] of Object.entries(batch)) {
      data[family] = {}
      for (const id of ids) {
        const value = [this.#recorder.version()]
        data[family][id] = encode(family, value)
        values.push([recordOf(account, family, id), value])
      }
    }
    return this.#recorder.write(level, values, () => store.set(data))
  }

  #delete(level, account, store, batch) {
    const values = Object.entries(batch).flatMap(([family, ids]) => ids.map(id => [recordOf(account, family, id), []]))
    const data = Object.fromEntries(Object.entries(batch).map(([family, ids]) => [family, Object.fromEntries(ids.map(id => [id, null]))]))
    return this.#recorder.write(level, values, () => store.set(data))
  }

  #clear(level, account, store) {
    const values = FAMILIES.flatMap(family => IDS.map(id => [recordOf(account, family, id), []]))
    return this.#recorder.write(level, values, () => store.clear())
  }

  #writeCreds(level, account, write) {
    const value = [this.#recorder.version()]
    return this.#recorder.write(level, [[recordOf(account, CREDS_ID, CREDS_ID), value]], () => write(encode('creds', value)))
  }

  /** Reads lists, waits a little, and writes them with a version more. */
  async #append(level, account, store, step) {
    const { family, ids } = step
    const read = await this.#get(level, account, store, step)
    await pause(step.between)
    const values = read.map(([record, value]) => [record, [...value, this.#recorder.version()]])
    const data = { [family]: Object.fromEntries(ids.map((id, i) => [id, encode(family, values[i][1])])) }
    await this.#recorder.write(level, values, () => store.set(data))
  }

  // ---- transactions -------------------------------------------------------------------------------------
  async #transaction(step, outer) {
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#attempt(step, outer)
      } catch (error) {
        if (!error.retryable || attempt >= step.retries) throw error
        await pause('turn')
      }
    }
  }

  async #attempt(step, outer) {
    const account = step.elsewhere ? other(outer.account) : outer?.account ?? step.account
    const parent = around(outer, account)
    const level = this.#recorder.begin({
      label: step.label, isolation: step.isolation, ...step.alone && { alone: true }, account,
      ...parent && { parent: parent.level.id, nested: step.nested ?? 'join' },
    })
    const scope = { level, account, outer, parent, step, tx: undefined, isOver: false, credsStaged: false }
    const options = {
      ...step.isolation && { isolation: step.isolation },
      ...step.nested && { nested: step.nested },
      ...step.timeoutMs && { timeoutMs: step.timeoutMs },
      ...step.abortAfter && { signal: this.#signalAfter(step.abortAfter) },
    }
    const work = tx => this.#goOn(this.#work(step, scope, tx))
    const store = step.handle && parent === outer && outer?.tx ? outer.tx : this.#accounts[account].keys
    try {
      await (step.records ? store.transactWith({ records: step.records }, work, options) : store.transaction(work, step.label, options))
      noteJoined(scope)
      this.#recorder.end(level, 'committed')
      if (parent && scope.credsStaged) parent.credsStaged = true
    } catch (error) {
      noteJoined(scope)
      this.#recorder.end(level, 'aborted', error)
      this.#note(error, step, error => isExpected(error, scope, scope.outer))
      throw error
    } finally {
      scope.isOver = true
    }
  }

  async #work(step, scope, tx) {
    scope.tx = tx
    scope.store = step.handle && tx ? tx : this.#accounts[scope.account].keys
    try {
      for (const inner of step.work) {
        await pause(inner.pause)
        await this.#inside(inner, scope)
      }
      if (step.fails) throw new Planned('on purpose')
    } finally {
      this.#recorder.ready(scope.level)
    }
  }

  async #inside(step, scope) {
    const { level, account, store } = scope
    switch (step.do) {
      case 'get':
        return this.#get(level, account, store, step)
      case 'append':
        return this.#append(level, account, store, step)
      case 'set':
        return this.#set(level, account, store, step.batch)
      case 'delete':
        return this.#delete(level, account, store, step.batch)
      case 'clear':
        return this.#clear(level, account, store)
      case 'list':
        return this.#list(level, account, store, step)
      case 'setCreds':
        scope.credsStaged = true
        return this.#writeCreds(level, account, scope.tx.setCreds)
      case 'saveCreds':
        return this.#saveCredsInside(step, scope)
      case 'detached':
        return void this.#goOn(this.#detached(step, scope)).catch(() => {})
      case 'siblings':
        return throwFirst(await Promise.allSettled(step.transactions.map(async inner => {
          await pause(inner.pause)
          await this.#nested(inner, scope)
        })))
      case 'transaction':
        if (step.isAwaited === false) return void this.#goOn(this.#nested(step, scope)).catch(() => {})
        return this.#nested(step, scope)
      default:
        throw new Error(`unknown step: ${step.do}`)
    }
  }

  async #nested(step, scope) {
    try {
      await this.#transaction(step, scope)
    } catch (error) {
      if (!step.isCaught) throw error
    }
  }

  /** Commits at once, whatever becomes of the transaction around it; unless creds wait there for the end, and then it is another matter. */
  async #saveCredsInside(step, scope) {
    for (let at = scope; at; at = at.parent) if (at.credsStaged) return
    await this.#plain(step, saved => this.#writeCreds(saved, scope.account, this.#accounts[scope.account].saveCreds), {
      parent: scope.level.id, nested: 'independent', isExpected: error => isExpected(error, scope),
    })
  }

  /** A write by work that nobody awaited: of the innermost transaction that still runs, or by itself. It may be refused, not dropped. */
  async #detached(step, scope) {
    await pause(step.after)
    const { keys } = this.#accounts[scope.account]
    for (let at = scope; at; at = at.parent) {
      if (at.tx?.isInTransaction()) return this.#set(at.level, scope.account, keys, step.batch)
    }
    return this.#plain(step, level => this.#set(level, scope.account, keys, step.batch), { isExpected: error => isExpected(error, scope) })
  }

  #signalAfter(kind) {
    const controller = new AbortController()
    this.#goOn(pause(kind).then(() => controller.abort(new Planned('given up on purpose'))))
    return controller.signal
  }

  #goOn(promise) {
    const settled = promise.then(() => {}, () => {}).finally(() => this.#left.delete(settled))
    this.#left.add(settled)
    return promise
  }

  #note(error, step, isExpected) {
    if (!this.#failures.has(error)) this.#failures.set(error, { step, isExpected })
  }
}

function noteJoined({ step, tx, level }) {
  if (step.nested && tx?.joined) Object.assign(level, { nested: 'join', wasIndependent: true })
}

const other = account => (account === 'a' ? 'b' : 'a')

/** The nearest transaction of an account around a scope that has not ended: work may outlive its own. */
function around(scope, account) {
  for (let at = scope; at; at = at.outer) if (at.account === account && !at.isOver && (at.tx?.isInTransaction() ?? true)) return at
  return undefined
}

function throwFirst(outcomes) {
  const failed = outcomes.find(({ status }) => status === 'rejected')
  if (failed) throw failed.reason
}

function scopesFrom(scope) {
  const scopes = []
  for (let at = scope; at; at = at.outer) scopes.push(at)
  return scopes
}

/**
 * Whether a store may give this error inside of these transactions; and whether one of them, from `ended` outwards, has failed and
 * taken along what was inside.
 */
function isExpected(error, scope, ended = scope) {
  const scopes = scopesFrom(scope)
  switch (error.code) {
    case 'ERR_CASK_DEADLOCK':
      return true
    case 'ERR_CASK_TRANSACTION_TIMEOUT':
      return scopes.some(({ step }) => step.timeoutMs)
    case 'ERR_CASK_ABORTED':
      return scopes.some(({ step }) => step.abortAfter)
    case 'ERR_CASK_TRANSACTION_ENDED':
      return scopesFrom(ended).some(({ level, isUnawaited }) => level.status === 'aborted')
    default:
      return error instanceof Planned
  }
}

/** Which records there are, and of what kind. */
export function kindsOf(accounts) {
  const kinds = {}
  for (const account of accounts) {
    kinds[recordOf(account, CREDS_ID, CREDS_ID)] = 'register'
    for (const family of FAMILIES) for (const id of [...IDS, ...ALONE]) kinds[recordOf(account, family, id)] = id.startsWith('r') ? 'register' : 'list'
  }
  return kinds
}
