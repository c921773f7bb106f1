// Calls with hostile arguments, and what has to hold after each.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { attachCask, importKeys, openCask, useCaskAuthState, withCask } from 'baileys-cask'
import { collect, recordsOf } from '../helpers/casks.mjs'
import { ABSENT, ANY, Own, REFUSED, build, expect, recipe, storable } from './values.mjs'

/** What re-entrant getters write: nothing else may have changed where a call is refused. */
const REENTRANT = 'reentrant'
/** Longest time that the source of an import is waited for. */
const SOURCE_MS = 2_000
const FAMILIES = ['session', 'pre-key', 'app-state-sync-version', 'lid-mapping', 'other', '__proto__']
const IDS = ['a', 'b', '__proto__', 'constructor', '0', 'x'.repeat(4096), 'a\u0000b']

const family = fc.constantFrom(...FAMILIES)
const id = fc.constantFrom(...IDS)
const own = recipe.map(of => ({ hostile: of }))
const batchOf = value => fc.array(fc.tuple(family, fc.array(fc.tuple(id, value), { maxLength: 3 })), { maxLength: 3 }).map(all => ({ batch: all }))
const batch = fc.oneof(batchOf(storable), batchOf(fc.oneof({ weight: 5, arbitrary: storable }, recipe)))
const store = fc.constantFrom('keys', 'transaction')
const OPTIONS = ['name', 'durability', 'syncIntervalMs', 'cacheBytes', 'openWaitMs', 'lockTimeoutMs', 'transactionTimeoutMs', 'stallWarnMs', 'lockStacks', 'logger', 'baileys', 'rollbackGuard']
const options = names => fc.oneof(own, fc.array(fc.tuple(fc.constantFrom(...names, '__proto__', 'unknown'), recipe), { maxLength: 3 }).map(object => ({ hostile: { object } })))

/** One call. */
export const action = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('set'), store, data: fc.oneof({ weight: 5, arbitrary: batch }, own) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('get'), store, family: own, ids: own }) },
  fc.record({ do: fc.constant('get'), store, family: family.map(plain => ({ plain })), ids: own }),
  fc.record({ do: fc.constantFrom('list', 'listIds'), store, family: own }),
  { weight: 2, arbitrary: fc.record({ do: fc.constant('transaction'), data: batch, label: own, options: options(['timeoutMs', 'signal', 'nesting', 'isolation']) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('transactWith'), scope: fc.oneof(own, recipe.map(records => ({ hostile: { object: [['records', records]] } }))), data: batch }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('saveCreds'), creds: own }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('openCask'), options: options(OPTIONS) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('importKeys'), source: recipe, values: fc.array(fc.tuple(id, recipe), { maxLength: 3 }), options: options(['creds', 'ids', 'names', 'families', 'signal', 'dryRun', 'skipFailed']) }) },
  fc.record({ do: fc.constantFrom('account', 'attachCask', 'withCask', 'useCaskAuthState'), value: own }),
)

/** A store under test, and what is known of it. */
export class World {
  #calls = []
  #imports = 0

  constructor(cask) {
    this.cask = cask
    this.account = cask.account('hostile')
    this.keys = this.account.keys
  }

  /** What a re-entrant getter does. */
  call = name => {
    const calls = {
      get: () => this.keys.get('session', ['a']),
      set: () => this.cask.account(REENTRANT).keys.set({ session: { a: { n: 1 } } }),
      transaction: () => this.cask.account(REENTRANT).keys.transaction(async tx => tx.set({ session: { b: 1 } }), 'label'),
      drop: () => this.cask.account(REENTRANT).drop(),
      collect: () => globalThis.gc?.(),
    }
    this.#calls.push(Promise.resolve(calls[name]()).catch(error => assert.match(String(error.code), /^ERR_CASK_/, error.stack)))
  }

  make({ hostile, plain, batch }) {
    if (plain !== undefined) return plain
    if (hostile) return build(hostile, this)
    const data = {}
    for (const [family, records] of batch) {
      const values = {}
      for (const [id, value] of records) define(values, id, build(value, this))
      define(data, family, values)
    }
    return data
  }

  /** Makes a call; gives its result, or the error that it was refused with. */
  async #attempt(call) {
    try {
      return { result: await call() }
    } catch (error) {
      return { error, isRefused: true }
    } finally {
      await Promise.all(this.#calls.splice(0))
    }
  }

  /** Creds and records, each with its family and id, of every account but the one that re-entrant getters write to. */
  async contents() {
    const all = []
    for (const name of (await this.cask.accounts()).filter(name => name !== REENTRANT).sort()) {
      const account = this.cask.account(name)
      all.push({ account: name, creds: await account.loadCreds() })
      for (const family of FAMILIES) for (const [id, value] of await recordsOf(account.keys, family)) all.push({ account: name, family, id, value })
    }
    return all
  }

  /** Runs one action and checks what has to hold after it. */
  async run(action) {
    const before = await this.contents()
    const { error, isRefused, result } = await this.#attempt(() => this[`$${action.do}`](action))
    const after = await this.contents()
    if (isRefused) {
      checkError(error, action.do)
      assert.deepEqual(after, before, 'a call that was refused has changed something')
      return
    }
    if (action.do === 'set' || action.do === 'transaction' || action.do === 'transactWith') await this.#checkSet(action, before, after)
    else if (action.do !== 'saveCreds' && action.do !== 'importKeys') assert.deepEqual(after, before, `${action.do} has changed something`)
    if (action.do === 'saveCreds') {
      const wanted = expect(action.creds.hostile)
      assert.notEqual(wanted, REFUSED)
      if (wanted !== ANY) assert.deepEqual(await this.account.loadCreds(), wanted)
    }
    void result
  }

  async #checkSet({ data }, before, after) {
    if (!data.batch) return assert.notEqual(expect(data.hostile), REFUSED)
    const last = new Map()
    for (const [family, records] of data.batch) last.set(family, new Map(records))
    const touched = new Set()
    for (const [family, records] of last) {
      for (const [id, of] of records) {
        touched.add(JSON.stringify([family, id]))
        const wanted = expect(of)
        assert.notEqual(wanted, REFUSED, `a value of ${JSON.stringify(of)} was stored`)
        const found = await this.keys.get(family, [id])
        const again = await this.keys.get(family, [id])
        assert.deepEqual(found, again)
        if (wanted === ANY || family === 'app-state-sync-key') continue
        if (wanted === ABSENT || wanted === null) assert.equal(Object.hasOwn(found, id), false)
        else assert.deepEqual(own_(found, id), wanted)
      }
    }
    const rest = all => all.filter(({ family, id }) => !touched.has(JSON.stringify([family, id])))
    assert.deepEqual(rest(after), rest(before), 'a record that was not named has changed')
  }

  $set({ store, data }) {
    if (store === 'keys') return this.keys.set(this.make(data))
    return this.keys.transaction(async tx => tx.set(this.make(data)), 'hostile')
  }

  $get({ store, family, ids }) {
    if (store === 'keys') return this.keys.get(this.make(family), this.make(ids))
    return this.keys.transaction(async tx => tx.get(this.make(family), this.make(ids)), 'hostile')
  }

  $list({ store, family }) {
    if (store === 'keys') return collect(this.keys.list(this.make(family)))
    return this.keys.transaction(async tx => collect(tx.list(this.make(family))), 'hostile')
  }

  $listIds({ family }) {
    return collect(this.keys.listIds(this.make(family)))
  }

  $transaction({ data, label, options }) {
    return this.keys.transaction(async tx => tx.set(this.make(data)), this.make(label), this.make(options))
  }

  $transactWith({ scope, data }) {
    return this.keys.transactWith(this.make(scope), async tx => tx.set(this.make(data)))
  }

  $saveCreds({ creds }) {
    return this.account.saveCreds(this.make(creds))
  }

  async $openCask({ options }) {
    const cask = await openCask(this.make(options))
    await cask.close()
  }

  async $importKeys({ source, values, options }) {
    const account = this.cask.account(`import${this.#imports++}`)
    const listed = values.map(([id, of]) => [id, build(of, this)])
    const hostile = build(source, this)
    const from = {
      list: async function * (family) { if (family === 'session') yield * listed; else if (family === 'pre-key') yield hostile },
      get: async (_, ids) => (ids.length > 1 ? hostile : Object.fromEntries(listed)),
    }
    let timer
    try {
      const importing = importKeys(from, account, this.make(options))
      // What the source yields may be a promise that nobody keeps, and that ends only with the account.
      return await Promise.race([importing, new Promise(resolve => { timer = setTimeout(resolve, SOURCE_MS) })])
    } finally {
      clearTimeout(timer)
      // An import says itself that it is not finished, and goes on when it is called again.
      await account.drop()
    }
  }

  async $account({ value }) {
    const account = this.cask.account(this.make(value))
    await account.keys.get('session', ['a'])
  }

  async $attachCask({ value }) {
    const attached = attachCask(this.make(value))
    await attached?.close()
  }

  async $withCask({ value }) {
    withCask(this.make(value))
  }

  async $useCaskAuthState({ value }) {
    const target = this.make(value)
    // A text would be the path of a folder.
    if (typeof target !== 'string') await useCaskAuthState(target)
  }
}

const own_ = (object, key) => Object.getOwnPropertyDescriptor(object, key)?.value
const define = (object, key, value) => Object.defineProperty(object, key, { value, enumerable: true, writable: true, configurable: true })

/** Errors are ours, with a code, or the very one that a getter of the caller has thrown. */
function checkError(error, call) {
  if (error === undefined || isRevoked(error) || error instanceof Own) return
  const isOurs = typeof error?.code === 'string' && error.code.startsWith('ERR_CASK_') && error instanceof Error
  // A proxy, or a method of the caller's, may make the engine throw. But nothing of ours trips over a value.
  const isTripped = /Cannot (read|set) properties|is not (a function|iterable|a constructor)|Maximum call stack|Invalid (array|typed)/.test(error?.message)
  const isOfTheEngine = error instanceof TypeError && (call === 'importKeys' || !isTripped)
  assert.ok(isOurs || isOfTheEngine, `an error without a code: ${error?.stack ?? String(error)}`)
  assert.notEqual(error.code, 'ERR_CASK_INTERNAL', error.stack)
}

function isRevoked(value) {
  try {
    return Reflect.ownKeys(value) === undefined
  } catch {
    return typeof value === 'object'
  }
}
