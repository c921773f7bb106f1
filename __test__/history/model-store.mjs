/**
 * A store that does what transactions promise, in memory and without haste: the yardstick for the workload, and, with a fault
 * switched on, a store whose fault the checker has to find.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { LockTable } from './model-locks.mjs'

export const FAULTS = [
  'no record locks', 'reads take no locks', 'a reader may write beside other readers', 'a child gives its locks back', 'siblings do not exclude each other',
  'a failed child leaves its writes', 'a joined child commits at once', 'an independent child reads what is staged', 'a commit comes in pieces',
  'plain reads see what is staged', 'plain reads are late', 'own writes are not seen', 'a commit is lost', 'a plain set waits for nobody',
  'a doomed transaction commits', 'a doomed transaction still writes', 'a list takes no lock', 'a commit waits for nothing inside',
  'labels lock nobody', 'saveCreds joins what is around it', 'a doomed transaction still reads',
]

const SHARED_READS = new Set(['lid-mapping', 'device-list', 'identity-key', 'app-state-sync-key'])
const CREDS = JSON.stringify(['creds', 'creds'])
const keyOf = (family, id) => JSON.stringify([family, id])
const familyLock = family => JSON.stringify([family])
/** Everything of an account, which all who lock something in it take part in. */
const ALL = JSON.stringify([])
const inAll = locks => [[ALL, 'writer'], ...locks]
const context = new AsyncLocalStorage()

function failure(code, label, cause) {
  return Object.assign(new Error(code, { cause }), { code, label, retryable: code === 'ERR_CASK_DEADLOCK' })
}

const doomWithDeadlock = victim => victim.doom(failure('ERR_CASK_DEADLOCK', victim.label))

let levels = 0

/** One transaction. Its `phase`: running, committing, committed, rolled back. */
class Level {
  phase = 'running'
  staged = new Map()
  inside = new Set()
  joined = false
  #calls = new Set()
  #doomed
  #whenDoomed

  constructor(account, outer, label, options) {
    Object.assign(this, { account, outer, label, number: ++levels })
    this.independent = outer !== undefined && options.nested === 'independent'
    this.isolated = options.isolation === 'label' || (outer !== undefined && !this.independent && outer.isolated)
    this.whenDoomed = new Promise((_, reject) => (this.#whenDoomed = reject))
    this.whenDoomed.catch(() => {})
  }

  get joins() {
    return this.outer !== undefined && (!this.independent || this.joined)
  }

  check() {
    if (this.#doomed) throw this.#doomed
    if (this.phase !== 'running') throw failure('ERR_CASK_TRANSACTION_ENDED', this.label)
  }

  /** It cannot commit any more, and its locks are free at once; so with everything inside. */
  doom(error) {
    if (this.phase !== 'running') for (const level of this.inside) level.doom(error)
    if (this.#doomed || this.phase !== 'running') return
    this.#doomed = error
    this.account.locks.cancel(this, error)
    for (const level of this.inside) level.doom(error)
    this.account.locks.release(this)
    this.#whenDoomed(error)
  }

  async lock(locks) {
    this.check()
    const wait = this.account.acquire(this, locks)
    if (wait) await wait
    this.check()
  }

  /** Touches a record: an independent child joins where something around it has staged a write there. */
  find(key) {
    const passed = []
    for (let at = this; at; at = at.outer) {
      if (at.staged.has(key)) {
        if (!this.account.faults.has('an independent child reads what is staged')) for (const level of passed) level.joined = true
        return at.staged.get(key)
      }
      if (at.independent && !at.joined) passed.push(at)
    }
    return this.account.committed.get(key)
  }

  /** The commit waits for every call, whether or not the work does. */
  #during(call) {
    const running = call()
    const settled = running.then(() => {}, () => {}).finally(() => this.#calls.delete(settled))
    this.#calls.add(settled)
    return running
  }

  get(family, ids) {
    return this.#during(() => this.#get(family, ids))
  }

  async #get(family, ids) {
    const { faults, committed } = this.account
    if (this.#doomed && faults.has('a doomed transaction still reads')) {
      return Object.fromEntries(ids.map(id => [id, committed.get(keyOf(family, id))]).filter(([, value]) => value))
    }
    this.check()
    const mode = SHARED_READS.has(family) ? 'shared' : 'exclusive'
    if (!this.isolated && !faults.has('reads take no locks')) for (const id of [...ids].sort()) await this.lock(inAll([[keyOf(family, id), mode]]))
    const found = ids.map(id => [id, faults.has('own writes are not seen') ? committed.get(keyOf(family, id)) : this.find(keyOf(family, id))])
    return Object.fromEntries(found.filter(([, value]) => value !== undefined && value !== null))
  }

  clear() {
    return this.#during(async () => {
      this.check()
      if (!this.isolated) await this.lock([[ALL, 'exclusive']])
      this.check()
      for (const key of this.known()) if (key !== CREDS) this.find(key)
      for (const key of this.known()) if (key !== CREDS) this.staged.set(key, null)
    })
  }

  /** Every record that is, was or will be there. */
  known() {
    const keys = new Set(this.account.committed.keys())
    for (let at = this; at; at = at.outer) for (const key of at.staged.keys()) keys.add(key)
    return keys
  }

  async set(data) {
    const entries = entriesOf(data)
    if (this.#doomed && this.account.faults.has('a doomed transaction still writes')) return this.account.publish(entries)
    return this.#during(() => this.#write(entries))
  }

  setCreds(creds) {
    return this.#during(() => this.#write([[CREDS, creds]]))
  }

  async #write(entries) {
    this.check()
    if (!this.isolated) for (const lock of locksOf(entries.map(([key]) => key))) await this.lock([lock])
    this.check()
    for (const [key] of entries) this.find(key)
    for (const [key, value] of entries) this.staged.set(key, value)
  }

  async * list(family) {
    this.check()
    if (!this.isolated && !this.account.faults.has('a list takes no lock')) await this.lock(inAll([[familyLock(family), 'shared']]))
    for (const key of this.known()) {
      const [of, id] = JSON.parse(key)
      this.check()
      const value = of === family ? this.find(key) : undefined
      if (value !== undefined && value !== null) yield [id, value]
    }
  }

  async commit() {
    const { faults, locks } = this.account
    while (this.inside.size + this.#calls.size > 0 && !faults.has('a commit waits for nothing inside')) {
      await Promise.all([...this.#calls, ...[...this.inside].map(({ ended }) => ended)])
    }
    if (!(this.#doomed && faults.has('a doomed transaction commits'))) this.check()
    if (this.joins) {
      if (faults.has('a joined child commits at once')) this.account.publish([...this.staged])
      for (const [key, value] of this.staged) this.outer.staged.set(key, value)
      if (this.outer.phase === 'running') locks.pass(this, this.outer)
      else locks.release(this)
    } else {
      if (this.isolated && this.staged.size > 0) await this.lock(locksOf([...this.staged.keys()]))
      this.phase = 'committing'
      if (faults.has('a commit comes in pieces')) {
        for (const entry of this.staged) {
          this.account.publish([entry])
          await new Promise(setImmediate)
        }
      } else if (!faults.has('a commit is lost') || ++this.account.commits % 20 > 0) this.account.publish([...this.staged])
      locks.release(this)
    }
    this.#over('committed')
  }

  rollBack() {
    if (this.account.faults.has('a failed child leaves its writes') && this.joins) for (const [key, value] of this.staged) this.outer.staged.set(key, value)
    for (const level of this.inside) level.doom(failure('ERR_CASK_TRANSACTION_ENDED', this.label))
    this.#over('rolled back')
    this.account.locks.release(this)
  }

  /** A call that nobody awaited may still wait for a lock. */
  #over(phase) {
    this.phase = phase
    this.account.locks.cancel(this, failure('ERR_CASK_TRANSACTION_ENDED', this.label))
  }
}

const entriesOf = data => Object.entries(data).flatMap(([family, values]) => Object.entries(values).map(([id, value]) => [keyOf(family, id), value]))

/** What a writer of these records takes: them, and a place among the writers of their families. */
const locksOf = keys => inAll([...new Set(keys.map(key => familyLock(JSON.parse(key)[0])))].map(lock => [lock, 'writer']).concat(keys.sort().map(key => [key, 'exclusive'])))

class Account {
  committed = new Map()
  commits = 0
  #before = []

  constructor(name, locks, faults) {
    Object.assign(this, { name, locks, faults })
  }

  /** One table has the locks of all accounts: circles go through several. */
  acquire(level, locks, options) {
    return this.locks.acquire(level, locks.map(([key, mode]) => [this.name + key, mode]), { doom: doomWithDeadlock, ...options })
  }

  publish(entries) {
    if (this.faults.has('plain reads are late')) this.#before = [...this.#before, new Map(this.committed)].slice(-5)
    for (const [key, value] of entries) {
      if (value === null) this.committed.delete(key)
      else this.committed.set(key, value)
    }
  }

  /** What plain reads see. */
  seen(key) {
    if (this.faults.has('plain reads see what is staged')) {
      for (const level of this.running ?? []) if (level.staged.has(key)) return level.staged.get(key)
    }
    return (this.#before[0] ?? this.committed).get(key)
  }

  /** The innermost level of this account around the call that still runs, or whose work does. */
  level({ writes = false } = {}) {
    for (let at = context.getStore(); at; at = at.around) {
      if (at.level.account !== this) continue
      if (at.level.phase === 'running' || at.level.works || (writes && at.level.phase === 'rolled back')) return at.level
    }
    return undefined
  }

  async plainSet(entries, locks = locksOf(entries.map(([key]) => key))) {
    // It is nobody's child, but what runs around it waits for it.
    const around = context.getStore()?.level
    const level = { inside: new Set(), doom: error => this.locks.cancel(level, error) }
    around?.inside.add(level)
    try {
      for (;;) {
        const wait = this.faults.has('a plain set waits for nobody') ? undefined : this.acquire(level, locks, { hold: false })
        if (!wait) break
        await wait
      }
      this.publish(entries ?? [...this.committed.keys()].filter(key => key !== CREDS).map(key => [key, null]))
    } finally {
      around?.inside.delete(level)
    }
  }

  async transaction(work, { label, records = [], options = {} }) {
    const level = new Level(this, this.level(), label, options)
    const around = context.getStore()
    level.outer?.check()
    let ended
    level.ended = new Promise(resolve => (ended = resolve))
    // Another account's transaction around this one waits for it just as one of its own account.
    const waiting = new Set([level.outer, around?.level].filter(Boolean))
    for (const outer of waiting) outer.inside.add(level)
    ;(this.running ??= new Set()).add(level)
    const abort = () => level.doom(failure('ERR_CASK_ABORTED', label, options.signal.reason))
    const timer = options.timeoutMs && setTimeout(() => level.doom(failure('ERR_CASK_TRANSACTION_TIMEOUT', label)), options.timeoutMs)
    options.signal?.addEventListener('abort', abort)
    const run = async () => {
      if (options.signal?.aborted) abort()
      level.check()
      if (label !== undefined && !this.faults.has('labels lock nobody')) await level.lock([[JSON.stringify(['label', label]), 'exclusive']])
      for (const { type, id } of records) await level.lock([[keyOf(type, id), 'exclusive']])
      level.check()
      level.works = true
      let result
      try {
        result = await context.run({ level, around }, () => work(this.handleOf(level)))
      } finally {
        level.works = false
      }
      await level.commit()
      return result
    }
    try {
      const running = run()
      running.catch(() => {})
      return await (this.faults.has('a doomed transaction commits') ? running : Promise.race([level.whenDoomed, running]))
    } catch (error) {
      if (level.phase !== 'committed') level.rollBack()
      throw error
    } finally {
      clearTimeout(timer)
      options.signal?.removeEventListener('abort', abort)
      for (const outer of waiting) outer.inside.delete(level)
      this.running.delete(level)
      ended()
    }
  }

  handleOf(level) {
    const inside = call => (...args) => {
      level.check()
      return context.getStore()?.level === level ? call(...args) : context.run({ level, around: context.getStore() }, () => call(...args))
    }
    return {
      get: (...args) => level.get(...args),
      set: (...args) => level.set(...args),
      clear: () => level.clear(),
      list: family => level.list(family),
      setCreds: creds => level.setCreds(creds),
      isInTransaction: () => level.phase === 'running',
      transaction: inside(async (work, label, options) => this.transaction(work, { label, options })),
      transactWith: inside(async ({ records }, work, options) => this.transaction(work, { records, options })),
      get joined() {
        return level.joined
      },
    }
  }

  get keys() {
    return {
      get: async (family, ids) => {
        const level = this.level()
        if (level) return level.get(family, ids)
        return Object.fromEntries(ids.map(id => [id, this.seen(keyOf(family, id))]).filter(([, value]) => value !== undefined))
      },
      set: async data => {
        const level = this.level({ writes: true })
        if (level) return level.set(data)
        return this.plainSet(entriesOf(data))
      },
      clear: async () => {
        const level = this.level({ writes: true })
        if (level) return level.clear()
        // The locks come first: what is there then is removed.
        return this.plainSet(undefined, [[ALL, 'exclusive']])
      },
      list: family => this.level()?.list(family) ?? this.#list(family),
      isInTransaction: () => this.level() !== undefined,
      transaction: async (work, label, options) => this.transaction(work, { label, options }),
      transactWith: async ({ records }, work, options) => this.transaction(work, { records, options }),
    }
  }

  async * #list(family) {
    for (const key of [...this.committed.keys()]) {
      const [of, id] = JSON.parse(key)
      if (of === family && this.seen(key)) yield [id, this.seen(key)]
    }
  }

  loadCreds = async () => {
    return this.seen(CREDS)
  }

  saveCreds = async creds => {
    if (this.faults.has('saveCreds joins what is around it') && this.level()) return this.level().setCreds(creds)
    for (let at = this.level(); at; at = at.outer) if (at.staged.has(CREDS)) return void at.staged.set(CREDS, creds)
    await this.plainSet([[CREDS, creds]])
  }
}

/** @param {string[]} [faults] what it does wrong, of FAULTS */
export function modelStore(faults = []) {
  const wrong = new Set(faults)
  for (const fault of wrong) if (!FAULTS.includes(fault)) throw new Error(`unknown fault: ${fault}`)
  const locks = new LockTable(wrong)
  const accounts = new Map()
  return {
    account(name) {
      if (!accounts.has(name)) accounts.set(name, new Account(name, locks, wrong))
      return accounts.get(name)
    },
    locks,
    get locksAreFree() {
      return locks.isEmpty
    },
  }
}
