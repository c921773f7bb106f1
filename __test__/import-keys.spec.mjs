import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { initAuthCreds, proto, useMultiFileAuthState } from 'baileys'
import { importKeys, useCaskAuthState } from 'baileys-cask'
import { authFolder, kept, linkedCreds, ONE_OF_EACH } from './helpers/auth-folders.mjs'
import { contents, open, recordsOf } from './helpers/casks.mjs'
import { isPending, within } from './helpers/gate.mjs'
import { runScript } from './helpers/script.mjs'
import { keysInMemory } from './loopback/accounts.mjs'

const creds = linkedCreds()
const COUNTS = Object.fromEntries(Object.entries(ONE_OF_EACH).map(([family, values]) => [family, Object.keys(values).length]))
const IDS = Object.fromEntries(Object.entries(ONE_OF_EACH).map(([family, values]) => [family, Object.keys(values)]))
const encoded = (family, id) => `${family}-${id}`.replace(/\//g, '__').replace(/:/g, '-')

/** An account that has everything, and what it holds. */
async function whole(t) {
  const cask = await open(t)
  const account = cask.account()
  await account.saveCreds(creds)
  await account.keys.set(ONE_OF_EACH)
  return { account, found: await contents(cask) }
}

/** What is in a new account after an import. */
async function imported(t, source, options) {
  const cask = await open(t)
  const result = await importKeys(source, cask.account(), options)
  return { result, cask, account: cask.account(), found: await contents(cask, ['baileys-cask:import']) }
}

describe('what it reads', () => {
  test('all that a store lists: another account, or a store of promises, generators or arrays', async t => {
    const { account, found: expected } = await whole(t)
    const SOURCES = {
      account: account.keys,
      generator: { async *list(family) { yield* Object.entries(ONE_OF_EACH[family] ?? {}) } },
      arrays: { list: family => Object.entries(ONE_OF_EACH[family] ?? {}) },
      promises: { list: async family => new Map(Object.entries(ONE_OF_EACH[family] ?? {})) },
    }
    for (const [name, source] of Object.entries(SOURCES)) {
      const { result, found } = await imported(t, source, { creds })
      assert.deepEqual(result, { complete: true, present: false, creds: true, dryRun: false, records: COUNTS, failed: [], recovered: [], ignored: [] }, name)
      assert.deepEqual(found, expected, name)
    }
  })

  test('the ids that it is given, by family, from a store that only gets', async t => {
    const { found: expected } = await whole(t)
    const { state } = await useMultiFileAuthState(await authFolder(t, ONE_OF_EACH, creds))
    for (const ids of [IDS, Object.fromEntries(Object.entries(IDS).map(([family, list]) => [family, new Set(list)])), Object.fromEntries(Object.entries(IDS).map(([family, list]) => [family, (async function* () { yield* list })()]))]) {
      const { result, found } = await imported(t, state.keys, { ids, creds: state.creds })
      assert.deepEqual([result.complete, result.records], [true, COUNTS])
      assert.deepEqual(found, expected)
    }
  })

  test('the names that it is given, encoded or not, twice or not, with .json or not', async t => {
    const { found: expected } = await whole(t)
    const memory = keysInMemory()
    await memory.set(ONE_OF_EACH)
    const plain = Object.entries(IDS).flatMap(([family, ids]) => ids.map(id => `${family}-${id}`))
    const fixed = Object.entries(IDS).flatMap(([family, ids]) => ids.map(id => encoded(family, id)))
    assert.notDeepEqual(plain, fixed)
    for (const names of [plain, fixed, fixed.map(name => `${name}.json`), [...plain, ...fixed, ...plain], (async function* () { yield* plain })()]) {
      const { result, found } = await imported(t, memory, { names: Array.isArray(names) ? ['creds', 'auth_creds', ...names] : names, creds })
      assert.deepEqual([result.complete, result.records, result.ignored], [true, COUNTS, Array.isArray(names) ? ['creds', 'auth_creds'] : []])
      assert.deepEqual(found, expected)
    }
  })

  test('families of others by their names', async t => {
    const memory = keysInMemory()
    await memory.set({ 'my-own': { a: 1 }, mine: { 'b-c': 2 } })
    const { result, found } = await imported(t, memory, { names: ['my-own-a', 'mine-b-c'], families: ['my-own'], creds })
    assert.deepEqual(result.records, { 'my-own': 1, mine: 1 })
    assert.ok(found)
    const lists = { list: family => (family === 'my-own' ? [['a', 1]] : []) }
    assert.deepEqual((await imported(t, lists, { creds })).result.records, {})
    assert.deepEqual((await imported(t, lists, { creds, families: ['my-own'] })).result.records, { 'my-own': 1 })
  })

  test('values of adapters: messages, bytes of any kind, text that nobody has turned back into bytes; none is changed', async t => {
    const values = Object.freeze({
      message: proto.Message.AppStateSyncKeyData.fromObject({ keyData: Buffer.alloc(32, 1), timestamp: 5 }),
      bytes: new Uint8Array([1, 2]), text: Object.freeze({ type: 'Buffer', data: 'AQI=' }), list: Object.freeze({ type: 'Buffer', data: [1, 2] }), index: Object.freeze({ 0: 1, 1: 2 }),
      inside: Object.freeze({ a: Object.freeze([Object.freeze({ type: 'Buffer', data: 'AQI=' })]), b: undefined, c: null }), named: Object.defineProperty({}, '__proto__', { value: 1, enumerable: true }),
    })
    const { account, result } = await imported(t, { list: family => (family === 'mine' ? Object.entries(values) : []) }, { creds, families: ['mine'] })
    assert.deepEqual(result.failed, [])
    const bytes = Buffer.from([1, 2])
    assert.deepEqual(await account.keys.get('mine', Object.keys(values)), {
      message: kept(values.message), bytes, text: bytes, list: bytes, index: bytes, inside: { a: [bytes], c: null }, named: Object.defineProperty({}, '__proto__', { value: 1, enumerable: true, configurable: true, writable: true }),
    })
  })

  test('many, in portions', async t => {
    const many = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [String(i), `value ${i}`]))
    const memory = keysInMemory()
    await memory.set({ 'lid-mapping': many })
    const asked = []
    const seen = []
    const { account } = await imported(t, { get: (family, ids) => { asked.push(ids.length); return memory.get(family, ids) } }, { ids: { 'lid-mapping': Object.keys(many) }, creds, onProgress: progress => seen.push(progress) })
    assert.ok(asked.length >= 4 && asked.every(count => count <= 256))
    assert.deepEqual(seen.at(-1), { done: 1000, total: 1000 })
    assert.deepEqual(await account.keys.get('lid-mapping', Object.keys(many)), many)
    seen.length = 0
    await imported(t, account.keys, { creds, onProgress: progress => seen.push(progress) })
    assert.deepEqual(seen.at(-1), { done: 1000 })
  })
})

describe('what is not there', () => {
  test('a name without a value, and a value that cannot be kept, leave the account without creds unless they are left out', async t => {
    const memory = { get: async () => ({ a: { n: 1 }, b: null, c: new Map(), d: undefined }) }
    const ids = { session: ['a', 'b', 'c', 'd', 'e'] }
    const { result, account } = await imported(t, memory, { ids, creds })
    assert.deepEqual(result.failed.map(({ type, id, reason, file }) => [type, id, reason, file]), [['session', 'b', 'missing', undefined], ['session', 'd', 'missing', undefined], ['session', 'e', 'missing', undefined], ['session', 'c', 'refused', undefined]])
    assert.deepEqual([result.complete, result.creds, result.records, await account.loadCreds()], [false, false, { session: 1 }, undefined])
    const again = await importKeys(memory, account, { ids, creds, skipFailed: true })
    assert.deepEqual([again.complete, again.creds, again.failed], [true, true, result.failed])
    assert.deepEqual(await account.loadCreds(), kept(creds))
  })

  test('what the source throws ends the import as it is, and running it again completes it', async t => {
    const mine = new Error('mine')
    const cask = await open(t)
    const failing = { async *list(family) { yield* Object.entries(ONE_OF_EACH[family] ?? {}); if (family === 'session') throw mine } }
    await assert.rejects(importKeys(failing, cask.account(), { creds }), error => error === mine)
    await assert.rejects(useCaskAuthState(cask, { baileys: { initAuthCreds } }), { code: 'ERR_CASK_CREDS_MISSING', message: /an import into account default has not ended/ })
    const { account, found } = await whole(t)
    assert.equal((await importKeys(account.keys, cask.account(), { creds })).complete, true)
    assert.deepEqual(await contents(cask, ['baileys-cask:import']), found)
  })

  test('a signal ends it between two portions', async t => {
    const cask = await open(t)
    const controller = new AbortController()
    const { account } = await whole(t)
    await assert.rejects(importKeys(account.keys, cask.account(), { creds, signal: controller.signal, onProgress: () => controller.abort('why') }), { code: 'ERR_CASK_ABORTED', cause: 'why' })
    assert.equal(await cask.account().loadCreds(), undefined)
  })

  test('a signal ends it while the source does not answer, wherever it stands', async t => {
    const hung = () => new Promise(() => {})
    const sources = [
      [{ list: hung }, {}], [{ list: () => ({ [Symbol.asyncIterator]: () => ({ next: hung }) }) }, {}], [{ get: hung }, { ids: { session: ['a'] } }],
      [{ get: hung }, { names: { [Symbol.asyncIterator]: () => ({ next: hung, return: hung }) } }],
    ]
    for (const [source, options] of sources) {
      const cask = await open(t)
      const controller = new AbortController()
      const importing = importKeys(source, cask.account(), { creds: linkedCreds(), signal: controller.signal, ...options })
      assert.ok(await isPending(importing))
      controller.abort('why')
      await within(10_000, 'the import', assert.rejects(importing, { code: 'ERR_CASK_ABORTED', cause: 'why' }))
      assert.deepEqual(cask.locks(), [])
      await within(10_000, 'the close', cask.close())
    }
  })

  test('a signal that was aborted before the source is asked ends it as well', async t => {
    const hung = () => new Promise(() => {})
    for (const aborts of ['before', 'while']) {
      const cask = await open(t)
      const controller = new AbortController()
      const list = () => {
        if (aborts === 'while') controller.abort('why')
        return hung()
      }
      const importing = importKeys({ list }, cask.account(), { creds: linkedCreds(), signal: controller.signal })
      if (aborts === 'before') controller.abort('why')
      await within(10_000, 'the import', assert.rejects(importing, { code: 'ERR_CASK_ABORTED', cause: 'why' }))
      assert.deepEqual(cask.locks(), [])
      await within(10_000, 'the close', cask.close())
    }
  })

  test('a dry run reads everything and writes nothing', async t => {
    const { account } = await whole(t)
    const { result, found } = await imported(t, account.keys, { creds, dryRun: true })
    assert.deepEqual([result.complete, result.dryRun, result.records], [true, true, COUNTS])
    assert.deepEqual(found, {})
    const bad = { list: family => (family === 'session' ? [['a', NaN], ['b', 1]] : []) }
    const dry = await imported(t, bad, { creds, dryRun: true })
    assert.deepEqual([dry.result.complete, dry.result.failed.map(({ id, reason }) => [id, reason])], [false, [['a', 'refused']]])
  })
})

describe('creds', () => {
  test('of nobody are refused: an adapter has made them because it found none', async t => {
    const { account } = await whole(t)
    for (const [given, message] of [[initAuthCreds(), /never linked to a phone/], [{}, /no creds of Baileys/], [{ me: { id: 'x' } }, /no creds of Baileys/], [{ ...creds, when: new Date(NaN), now: NaN }, /creds\.now|creds\.when/]]) {
      const cask = await open(t)
      await assert.rejects(importKeys(account.keys, cask.account(), { creds: given }), { name: 'TypeError', code: 'ERR_CASK_INVALID_ARGUMENT', argument: 'creds', message })
      assert.deepEqual(await cask.accounts(), [])
    }
  })

  test('of another identity in the account: refused; the same: left as it is', async t => {
    const { account } = await whole(t)
    const cask = await open(t)
    await importKeys(account.keys, cask.account(), { creds })
    await cask.account().keys.set({ session: { '15550100002.0': { turned: 'on' } } })
    const before = await contents(cask)
    assert.equal((await importKeys(account.keys, cask.account(), { creds: { ...creds, nextPreKeyId: 5 } })).present, true)
    for (const options of [{ creds: linkedCreds() }, {}]) await assert.rejects(importKeys(account.keys, cask.account(), options), { code: 'ERR_CASK_INVALID_ARGUMENT', argument: 'account', message: /account\.drop\(\)/ })
    assert.deepEqual(await contents(cask), before)
  })

  test('none: the account gets its records alone, and says what it lacks', async t => {
    const { account } = await whole(t)
    const { result, cask, found } = await imported(t, account.keys)
    assert.deepEqual([result.complete, result.creds, result.records], [true, false, COUNTS])
    assert.equal(found.default.creds, undefined)
    await assert.rejects(useCaskAuthState(cask, { baileys: { initAuthCreds } }), { code: 'ERR_CASK_CREDS_MISSING', message: /save its creds with account\.saveCreds\(\)/ })
  })
})

test('wrong arguments are a TypeError that names the argument', async t => {
  const cask = await open(t)
  const account = cask.account()
  const lists = { list: () => [] }
  const CASES = [
    [[undefined, account], 'source'], [[{}, account], 'source'], [[{ get: () => ({}) }, account], 'source'], [[lists, account, { ids: {} }], 'source'], [[lists, account, { names: [] }], 'source'], [[lists, lists], 'account'], [[lists, account, 5], 'options'],
    [[lists, account, { id: {} }], 'options'], [[lists, account, { creds: 'creds' }], 'creds'], [[{ get: () => ({}) }, account, { ids: [] }], 'ids'], [[{ get: () => ({}) }, account, { ids: { session: 'a' } }], 'ids'], [[{ get: () => ({}) }, account, { names: 'session-a' }], 'names'],
    [[{ get: () => ({}) }, account, { names: [5] }], 'names'], [[{ get: () => ({}) }, account, { ids: { 'pre-key': [5] } }], 'ids'],
  ]
  for (const [call, argument] of CASES) await assert.rejects(importKeys(...call), { name: 'TypeError', code: 'ERR_CASK_INVALID_ARGUMENT', argument }, argument)
  const bad = await importKeys({ list: family => (family === 'session' ? [['', 1], [5, 1], ['\ud800', 1], ['a', 1]] : []) }, cask.account('ids'), { creds })
  assert.deepEqual(bad.failed.map(({ id, reason }) => [id, reason]), [['5', 'refused'], ['', 'refused'], ['\ud800', 'refused']])
  assert.deepEqual(await recordsOf(cask.account('ids').keys, 'session'), [['a', 1]])
})

test('a value that is nothing as JSON is missing', async t => {
  const nothing = { null: { toJSON: () => null }, undefined: { toJSON() {} }, late: { toJSON: () => ({ toJSON: () => null }) } }
  const { result } = await imported(t, { list: family => (family === 'session' ? [...Object.entries(nothing), ['good', 1]] : []) })
  assert.deepEqual(result.failed.map(({ id, reason }) => [id, reason]), [['null', 'missing'], ['undefined', 'missing'], ['late', 'missing']])
  assert.deepEqual([result.complete, result.records], [false, { session: 1 }])
})

test('numbers that are no bytes are taken modulo 256, as by the store', async t => {
  const { result, account } = await imported(t, { list: family => (family === 'session' ? [['a', { inner: { type: 'Buffer', data: [1, 258, -1] } }]] : []) })
  assert.deepEqual([result.failed, result.complete], [[], true])
  assert.deepEqual(await account.keys.get('session', ['a']), { a: { inner: Buffer.from([1, 2, 255]) } })
})

// With one way round, a circle ends where values are too deep; with two, there are 2^200 ways to get there. And an array of holes is as
// long as it likes to be. Nothing else of the process would run meanwhile, not even a timer of this test, so it is a process of its own.
test('values and families without an end are refused at once', { timeout: 60_000 }, async () => {
  const { code, stdout, stderr, late } = await runScript(`
    import { importKeys, openCask } from 'baileys-cask'
    const circle = {}
    circle.one = circle.two = circle
    const around = [[]]
    around[0].push(around, around)
    const holes = []
    holes.length = 2 ** 32 - 1
    const cask = await openCask()
    const source = { list: family => (family === 'session' ? [['circle', circle], ['around', around], ['holes', holes], ['inside', { holes }], ['good', { n: 1 }]] : []) }
    const { failed, records } = await importKeys(source, cask.account())
    const refusal = await importKeys(source, cask.account('other'), { families: holes }).catch(error => error)
    console.log(JSON.stringify([failed.map(({ id, reason }) => [id, reason]), records, refusal.code, refusal.argument]))
    await cask.close()
  `, { ms: 30_000 })
  assert.deepEqual({ code, late, stderr }, { code: 0, late: false, stderr: '' })
  assert.deepEqual(JSON.parse(stdout), [
    ['circle', 'around', 'holes', 'inside'].map(id => [id, 'refused']), { session: 1 }, 'ERR_CASK_INVALID_ARGUMENT', 'families',
  ])
})

// The first is a proxy of four thousand million holes, each of which it would be asked for: that too would stop everything else.
test('an id that is an object is refused without being asked what it is as text', { timeout: 60_000 }, async () => {
  const { code, stdout, stderr, late } = await runScript(`
    import { importKeys, openCask } from 'baileys-cask'
    const ids = [new Proxy(new Array(2 ** 32 - 1), {}), Object.create(null), { toString() { throw new Error('it was asked') } }, () => 'a', null, Symbol('a'), 5n]
    const cask = await openCask()
    const { failed } = await importKeys({ list: family => (family === 'session' ? ids.map(id => [id, 'v']) : []) }, cask.account())
    console.log(JSON.stringify(failed.map(({ id, reason }) => [id, reason])))
    await cask.close()
  `, { ms: 30_000 })
  assert.deepEqual({ code, late, stderr }, { code: 0, late: false, stderr: '' })
  assert.deepEqual(JSON.parse(stdout), ['object', 'object', 'object', 'function', 'null', 'Symbol(a)', '5'].map(id => [id, 'refused']))
})
