import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { types } from 'node:util'
import { statSync } from 'node:fs'
import { openCask } from 'baileys-cask'
import { collect, inEveryPlace, inFolders, open, recordsOf } from './helpers/casks.mjs'
import { newPath } from './helpers/folders.mjs'

/** Ids that file names, object keys or encodings are known to mix up. */
const CONFUSING_IDS = [
  'a/b', 'a__b', 'a:b', 'a-b', 'a\\b', 'a.b', '..', '.', '/', ' ', 'A/B', 'a', 'A',
  '__proto__', 'constructor', 'toString', 'hasOwnProperty', 'then', 'length', 'creds', 'null', 'undefined',
  '0', '00', '-0', '1e3', '\u0000', 'a\u0000b', '\u007f', '\u0080', '\u00e9', 'e\u0301', '\ufeffa', '\uffff', '\u{1f511}', '\u{1f511}\u{10ffff}',
  'x'.repeat(300), 'x'.repeat(299) + 'y', '\u00e9'.repeat(300), '\u{1f511}'.repeat(300), 'x'.repeat(4096),
]

const bytes = (length, fill) => Buffer.alloc(length, fill)

inEveryPlace(place => {
  const openHere = async t => open(t, await place.optionsFor(t))

  test('get gives what was set and leaves out ids that are absent', async t => {
    const { keys } = (await openHere(t)).account()
    await keys.set({ session: { a: { n: 1 }, b: bytes(3, 7) }, 'lid-mapping': { a: '1@lid' } })
    assert.deepEqual(await keys.get('session', ['a', 'absent', 'b']), { a: { n: 1 }, b: bytes(3, 7) })
    assert.deepEqual(await keys.get('lid-mapping', ['a']), { a: '1@lid' })
    assert.deepEqual(await keys.get('lid-mapping', ['b']), {})
    assert.deepEqual(await keys.get('session', []), {})
    assert.deepEqual(await keys.get('session', ['a', 'a']), { a: { n: 1 } })
  })

  test('null and undefined delete; an empty string, 0 and false are values', async t => {
    const { keys } = (await openHere(t)).account()
    await keys.set({ other: { null: 1, undefined: 1, kept: 1 } })
    await keys.set({ other: { null: null, undefined: undefined, '': undefined && 1, empty: '', zero: 0, false: false } })
      .catch(error => assert.equal(error.argument, 'id'))
    assert.deepEqual(await recordsOf(keys, 'other'), [['kept', 1], ['null', 1], ['undefined', 1]], 'an empty id refuses the whole set')
    await keys.set({ other: { null: null, undefined: undefined, empty: '', zero: 0, false: false }, session: undefined })
    assert.deepEqual(await recordsOf(keys, 'other'), [['empty', ''], ['false', false], ['kept', 1], ['zero', 0]])
  })

  test('a set of several families is stored as a whole or refused as a whole', async t => {
    const { keys } = (await openHere(t)).account()
    await keys.set({ session: { a: 1 } })
    await assert.rejects(keys.set({ session: { a: 2, b: 2 }, 'pre-key': { 1: { public: NaN } } }), TypeError)
    assert.deepEqual(await recordsOf(keys, 'session'), [['a', 1]])
    assert.deepEqual(await recordsOf(keys, 'pre-key'), [])
  })

  test('clear removes the records of its account; its creds and other accounts stay', async t => {
    const cask = await openHere(t)
    const [a, b] = [cask.account('a'), cask.account('b')]
    for (const account of [a, b]) {
      await account.saveCreds({ of: account.name })
      await account.keys.set({ session: { x: 1 }, other: { x: 1 } })
    }
    await a.keys.clear()
    assert.deepEqual([await recordsOf(a.keys, 'session'), await recordsOf(a.keys, 'other')], [[], []])
    assert.deepEqual(await a.loadCreds(), { of: 'a' })
    assert.deepEqual([await recordsOf(b.keys, 'session'), await b.loadCreds()], [[['x', 1]], { of: 'b' }])
    await a.keys.set({ session: { y: 2 } })
    assert.deepEqual(await recordsOf(a.keys, 'session'), [['y', 2]])
  })

  test('writes that are not awaited take effect in the order of their calls', async t => {
    const { keys } = (await openHere(t)).account()
    const writes = []
    for (let n = 0; n < 200; n++) writes.push(keys.set({ session: { one: n, [n % 10]: n } }))
    writes.push(keys.clear(), keys.set({ session: { last: true, one: 200 } }))
    await Promise.all(writes)
    assert.deepEqual(await recordsOf(keys, 'session'), [['last', true], ['one', 200]])
  })

  test('every id stays apart from every other', async t => {
    const { keys } = (await openHere(t)).account()
    const ids = CONFUSING_IDS
    const data = Object.fromEntries(ids.map((id, n) => [id, { n }]))
    await keys.set({ session: data })
    const found = await keys.get('session', ids)
    assert.deepEqual(Object.keys(found).sort(), [...ids].sort())
    for (const [n, id] of ids.entries()) assert.deepEqual(Object.getOwnPropertyDescriptor(found, id).value, { n }, id)
    assert.deepEqual((await collect(keys.listIds('session'))).sort(), [...ids].sort())
    await keys.set({ session: { 'a/b': null, ['__proto__']: null } })
    const left = ids.filter(id => id !== 'a/b' && id !== '__proto__')
    assert.deepEqual((await collect(keys.listIds('session'))).sort(), left.sort())
    assert.equal(Object.getPrototypeOf(found), Object.prototype)
  })

  test('families stay apart, also those whose names begin alike or look like something else', async t => {
    const account = (await openHere(t)).account()
    const { keys } = account
    await account.saveCreds({ real: true })
    const families = [
      'sender-key', 'sender-key-', 'sender-key-memory', 'session', 'sessions', 'creds', '__proto__', 'constructor', 'a', 'ab', 'a/b', '\u0001', '\u00ff',
      'default', '\u{1f511}', 'f'.repeat(255), '\u00e9'.repeat(127),
    ]
    for (const family of families) await keys.set({ [family]: { id: family, [`${family}-id`.slice(0, 100)]: 1, creds: 2, b: 3 } })
    for (const family of families) {
      const ids = ['id', `${family}-id`.slice(0, 100), 'creds', 'b']
      assert.deepEqual((await collect(keys.listIds(family))).sort(), ids.sort(), family)
      assert.deepEqual(await keys.get(family, ['id', 'creds']), { id: family, creds: 2 }, family)
    }
    assert.deepEqual(await account.loadCreds(), { real: true })
  })

  test('accounts stay apart, and names are kept as they are', async t => {
    const cask = await openHere(t)
    const names = ['a', 'A', 'a/b', 'a__b', '__proto__', 'constructor', ' ', '..', '\u0000', '\u{1f511}', '15550100001@s.whatsapp.net', 'n'.repeat(200)]
    for (const name of names) await cask.account(name).keys.set({ session: { id: name } })
    assert.deepEqual(await cask.accounts(), [...names].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))))
    for (const name of names) assert.deepEqual(await recordsOf(cask.account(name).keys, 'session'), [['id', name]])
  })

  test('accounts() names those with creds or a record, and no others', async t => {
    const cask = await openHere(t)
    cask.account('only looked at')
    assert.equal(await cask.account('only read').loadCreds(), undefined)
    await cask.account('emptied').keys.set({ session: { a: 1, b: 2 } })
    await cask.account('emptied').keys.set({ session: { a: null, b: undefined } })
    await cask.account('cleared').keys.set({ session: { a: 1 } })
    await cask.account('cleared').keys.clear()
    await cask.account('dropped').saveCreds({})
    await cask.account('dropped').drop()
    await cask.account('creds').saveCreds({})
    await cask.account('cleared, creds').saveCreds({})
    await cask.account('cleared, creds').keys.clear()
    await cask.account().keys.set({ session: { a: 1 } })
    assert.deepEqual(await cask.accounts(), ['cleared, creds', 'creds', 'default'])
    assert.equal(cask.account(), cask.account('default'))
  })

  test('creds are one value: absent at first, replaced as a whole, never a record', async t => {
    const account = (await openHere(t)).account()
    assert.equal(await account.loadCreds(), undefined)
    await account.saveCreds({ noiseKey: { public: bytes(32, 1) }, me: { id: 'x' }, absent: undefined })
    await account.saveCreds({ me: { id: 'y' }, list: [1, { key: bytes(2, 9) }] })
    assert.deepEqual(await account.loadCreds(), { me: { id: 'y' }, list: [1, { key: bytes(2, 9) }] })
    for (const family of ['creds', 'session', 'other']) assert.deepEqual(await collect(account.keys.listIds(family)), [])
  })

  test('drop removes creds and records, ends the handle, and the next handle starts over', async t => {
    const cask = await openHere(t)
    const account = cask.account('gone')
    await account.saveCreds({ a: 1 })
    await account.keys.set({ session: { a: 1 } })
    await cask.account('stays').keys.set({ session: { a: 1 } })
    await account.drop()
    const calls = [
      () => account.keys.get('session', ['a']), () => account.keys.set({ session: { b: 2 } }), () => account.keys.clear(),
      () => account.loadCreds(), () => account.saveCreds({}), () => account.drop(), () => collect(account.keys.list('session')),
      () => collect(account.keys.listIds('session')), () => account.keys.transaction(async () => {}, 'x'),
    ]
    for (const call of calls) await assert.rejects(call, { name: 'CaskError', code: 'ERR_CASK_DROPPED', account: 'gone' })
    const next = cask.account('gone')
    assert.notEqual(next, account)
    assert.deepEqual([await next.loadCreds(), await recordsOf(next.keys, 'session')], [undefined, []])
    await next.keys.set({ session: { c: 3 } })
    await assert.rejects(account.keys.set({ session: { late: 1 } }), { code: 'ERR_CASK_DROPPED' })
    assert.deepEqual(await recordsOf(next.keys, 'session'), [['c', 3]])
    assert.deepEqual(await recordsOf(cask.account('stays').keys, 'session'), [['a', 1]])
  })

  test('list gives each value as it is when it is reached, of the ids there were at the call', async t => {
    const { keys } = (await openHere(t)).account()
    await keys.set({ session: { a: 1, b: 1, c: 1, d: 1 } })
    const listed = keys.list('session')
    await keys.set({ session: { e: 1, a: 2, b: null } })
    const [first] = (await listed[Symbol.asyncIterator]().next()).value
    assert.ok(['a', 'c', 'd'].includes(first))
    // Removed and changed while the walk stands at the first one.
    const [removed, changed] = ['a', 'c', 'd'].filter(id => id !== first)
    await keys.set({ session: { [removed]: null, [changed]: 'changed' } })
    assert.deepEqual(await collect(listed), [[changed, 'changed']])
  })

  test('listIds gives the ids there were at the call', async t => {
    const { keys } = (await openHere(t)).account()
    await keys.set({ session: { a: 1, b: 1 } })
    const listed = keys.listIds('session')
    await keys.set({ session: { c: 1, a: null } })
    assert.deepEqual((await collect(listed)).sort(), ['a', 'b'])
  })

  test('list goes on after a break and over many records', async t => {
    const { keys } = (await openHere(t)).account()
    const data = Object.fromEntries(Array.from({ length: 500 }, (_, n) => [`id-${n}`, { n, pad: 'x'.repeat(700) }]))
    await keys.set({ session: data })
    for await (const [id, value] of keys.list('session')) {
      assert.deepEqual(value, data[id])
      break
    }
    assert.deepEqual(Object.fromEntries(await collect(keys.list('session'))), data)
  })

  test('5,000 ids in one get, short and long', async t => {
    const { keys } = (await openHere(t)).account()
    for (const pad of ['', 'p'.repeat(300), '\u{1f511}'.repeat(250)]) {
      const ids = Array.from({ length: 5000 }, (_, n) => `${n}${pad}`)
      const data = Object.fromEntries(ids.map((id, n) => [id, n % 2 ? { n } : bytes(60, n)]))
      await keys.set({ session: data })
      const found = await keys.get('session', [...ids, 'absent'])
      assert.deepEqual(found, data)
    }
  })

  for (const [name, size] of [['300 KB', 300_000], ['5 MB', 5_000_000], ['70 MB', 70_000_000]]) {
    test(`values of ${name} come back, alone and beside small ones`, async t => {
      const { keys } = (await openHere(t)).account()
      const large = bytes(size)
      for (let at = 0; at < size; at += 4093) large[at] = at
      await keys.set({ 'sender-key': { large, small: bytes(1, 1) }, session: { after: 'x' } })
      const found = await keys.get('sender-key', ['small', 'large', 'absent'])
      assert.ok(found.large.equals(large))
      assert.deepEqual(found.small, bytes(1, 1))
      await keys.set({ session: { text: 'y'.repeat(size) } })
      assert.ok((await keys.get('session', ['text'])).text === 'y'.repeat(size))
      assert.deepEqual(await keys.get('session', ['after']), { after: 'x' })
    })
  }

  test('methods work when they are taken off their objects', async t => {
    const cask = await openHere(t)
    const { account, accounts, flush, close } = cask
    const { keys, loadCreds, saveCreds, drop } = account('x')
    const { get, set, clear, list, listIds, isInTransaction, transaction } = keys
    await set({ session: { a: 1 } })
    await saveCreds({ n: 1 })
    assert.deepEqual([await get('session', ['a']), await loadCreds(), await accounts()], [{ a: 1 }, { n: 1 }, ['x']])
    assert.deepEqual([await collect(list('session')), await collect(listIds('session'))], [[['a', 1]], ['a']])
    await transaction(async ({ get, set, clear, setCreds, list, listIds, isInTransaction: inside, transaction: nested }) => {
      await nested(async () => set({ session: { b: 2 } }), 'inner')
      assert.deepEqual([await get('session', ['b']), inside(), isInTransaction()], [{ b: 2 }, true, true])
      await clear()
      await setCreds({ n: 2 })
      assert.deepEqual([await collect(list('session')), await collect(listIds('session'))], [[], []])
    }, 'label')
    assert.deepEqual([isInTransaction(), await loadCreds(), await get('session', ['a', 'b'])], [false, { n: 2 }, {}])
    await clear()
    await flush()
    await drop()
    await close()
  })

  test('every method returns a native promise, also where it is refused', async t => {
    const cask = await openHere(t)
    const account = cask.account()
    const { keys } = account
    const isNative = promise => types.isPromise(promise) && promise.constructor === Promise
    const made = [
      keys.get('session', ['a']), keys.get('session', []), keys.set({}), keys.set({ session: { a: 1 } }), keys.set({ session: { a: null } }), keys.clear(),
      keys.transaction(async () => {}), keys.transaction(async () => {}, 'label'), account.loadCreds(), account.saveCreds({}), cask.accounts(), cask.flush(),
    ]
    const refused = [
      keys.get(1, ['a']), keys.get('session', 'a'), keys.set(1), keys.set({ session: { a: NaN } }), keys.transaction(1), keys.transaction(async () => {}, 1),
      keys.transaction(async () => {}, 'label', { unknown: 1 }), account.saveCreds(1), openCask(1),
    ]
    for (const promise of refused) promise.catch(() => {})
    await keys.transaction(async tx => {
      made.push(tx.get('session', ['a']), tx.set({}), tx.set({ session: { a: 1 } }), tx.clear(), tx.setCreds({}), tx.transaction(async () => {}, 'inner'))
      refused.push(tx.get(1, ['a']), tx.set(1), tx.setCreds(1), tx.transaction(1))
      await Promise.allSettled([...made.slice(-6), ...refused.slice(-4)])
    })
    assert.deepEqual(made.map(isNative), made.map(() => true))
    assert.deepEqual(refused.map(isNative), refused.map(() => true))
    assert.deepEqual((await Promise.allSettled(made)).map(({ status }) => status), made.map(() => 'fulfilled'))
    assert.deepEqual((await Promise.allSettled(refused)).map(({ status }) => status), refused.map(() => 'rejected'))
    const closing = [account.drop(), cask.close(), cask.close(), cask[Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')]()]
    assert.deepEqual(closing.map(isNative), closing.map(() => true))
    await Promise.all(closing)
  })

  test('user code that runs inside a set may use the same store', async t => {
    const account = (await openHere(t)).account()
    const { keys } = account
    await keys.set({ session: { seed: { n: 1 }, big: 'b'.repeat(300_000) } })
    const inner = []
    const tricky = {
      a: 'before',
      get getter() {
        inner.push(keys.get('session', ['seed', 'big']), keys.set({ session: { fromGetter: 'x'.repeat(5000) } }))
        return 'from a getter'
      },
      json: {
        toJSON() {
          inner.push(keys.set({ 'sender-key': { fromJson: bytes(300_000, 5) } }), account.saveCreds({ fromJson: true }))
          return ['from toJSON']
        },
      },
      proxy: new Proxy({ p: 1 }, {
        ownKeys(target) {
          inner.push(keys.transaction(async tx => tx.set({ session: { fromProxy: 1 } }), 'label'))
          return Reflect.ownKeys(target)
        },
        get(target, name) {
          inner.push(keys.get('session', ['seed']))
          return target[name]
        },
      }),
      z: 'after',
    }
    await keys.set({
      session: { outer: tricky, next: 'n'.repeat(100) },
      get other() {
        inner.push(keys.clear().then(() => keys.set({ session: { seed: { n: 2 } } })))
        return { fromFamily: 1 }
      },
    })
    await Promise.all(inner)
    const ids = ['outer', 'next', 'seed']
    const found = await keys.get('session', ids)
    assert.deepEqual(found, {
      outer: { a: 'before', getter: 'from a getter', json: ['from toJSON'], proxy: { p: 1 }, z: 'after' },
      next: 'n'.repeat(100),
      seed: { n: 2 },
    })
    assert.deepEqual(await account.loadCreds(), { fromJson: true })
  })

  test('user code that throws inside a set, or reads ids that are traps, leaves the store in order', async t => {
    const { keys } = (await openHere(t)).account()
    await keys.set({ session: { a: 1 } })
    const mine = new Error('mine')
    const throwing = { get x() { throw mine } }
    await assert.rejects(keys.set({ session: { a: 2, b: throwing } }), error => error === mine)
    await assert.rejects(keys.set({ get session() { throw mine } }), error => error === mine)
    await assert.rejects(keys.get('session', Object.defineProperty([1], 0, { get() { throw mine } })), error => error === mine)
    let reads = 0
    const ids = Object.defineProperty(['?', 'a'], 0, { get: () => (keys.get('session', ['a']), `a${reads++}`) })
    assert.deepEqual(await keys.get('session', ids), { a: 1 })
    assert.equal(reads, 1, 'an id that changes is read once')
    assert.deepEqual(await recordsOf(keys, 'session'), [['a', 1]])
  })

  test('what callers do to values after set and get does not reach the store', async t => {
    const account = (await openHere(t)).account()
    const { keys } = account
    const buffer = bytes(100, 1)
    const value = { list: [1], nested: { bytes: buffer } }
    const writes = [keys.set({ session: { buffer, value } }), account.saveCreds({ value })]
    buffer.fill(2)
    value.list.push(2)
    await Promise.all(writes)
    const expected = { list: [1], nested: { bytes: bytes(100, 1) } }
    const first = await keys.get('session', ['buffer', 'value'])
    assert.deepEqual(first, { buffer: bytes(100, 1), value: expected })
    first.buffer.fill(3)
    first.value.list.length = 0
    first.value.nested.bytes.fill(3)
    ;(await account.loadCreds()).value.list.push(9)
    assert.deepEqual(await keys.get('session', ['buffer', 'value']), { buffer: bytes(100, 1), value: expected })
    assert.deepEqual(await account.loadCreds(), { value: expected })
    const [again, other] = await Promise.all([keys.get('session', ['buffer']), keys.get('session', ['buffer'])])
    assert.notEqual(again.buffer, other.buffer)
    assert.deepEqual(again.buffer, bytes(100, 1), 'a later call must not write over an earlier result')
  })

  test('values staged in a transaction are the store\'s own too', async t => {
    const { keys } = (await openHere(t)).account()
    const buffer = bytes(100, 1)
    await keys.transaction(async tx => {
      await tx.set({ session: { buffer, list: [1] } })
      buffer.fill(2)
      const seen = await tx.get('session', ['buffer', 'list'])
      assert.deepEqual(seen, { buffer: bytes(100, 1), list: [1] })
      seen.buffer.fill(3)
      seen.list.push(2)
    })
    assert.deepEqual(await keys.get('session', ['buffer', 'list']), { buffer: bytes(100, 1), list: [1] })
  })

  test('a result does not change under later calls, however large', async t => {
    const { keys } = (await openHere(t)).account()
    for (const size of [10, 3000, 200_000, 600_000]) {
      await keys.set({ 'sender-key': { one: bytes(size, 1), two: bytes(size, 2) } })
      const { one } = await keys.get('sender-key', ['one'])
      const { two } = await keys.get('sender-key', ['two'])
      await keys.set({ 'sender-key': { one: bytes(size, 9) } })
      assert.ok(one.equals(bytes(size, 1)) && two.equals(bytes(size, 2)), `${size} bytes`)
    }
  })

  test('close ends the handle: every later call says so, and closing again is no mistake', async t => {
    const cask = await openHere(t)
    const account = cask.account()
    const { keys } = account
    await keys.set({ session: { a: 1 } })
    let tx
    await keys.transaction(async given => (tx = given))
    await cask.close()
    const calls = [
      () => keys.get('session', ['a']), () => keys.set({ session: { a: 2 } }), () => keys.clear(), () => collect(keys.list('session')),
      () => collect(keys.listIds('session')), () => keys.transaction(async () => {}), () => account.loadCreds(), () => account.saveCreds({}), () => account.drop(),
      () => cask.accounts(), () => cask.flush(), async () => cask.account('default'), async () => cask.account('new'), () => keys.get('session', []), () => keys.set({}),
    ]
    for (const call of calls) {
      await assert.rejects(call, { name: 'CaskError', code: 'ERR_CASK_CLOSED', retryable: false, message: /open it again/ }, String(call))
    }
    assert.equal(keys.isInTransaction(), false)
    await assert.rejects(tx.get('session', ['a']), { code: 'ERR_CASK_TRANSACTION_ENDED' })
    await Promise.all([cask.close(), cask.close()])
  })

  test('close waits for what is under way', async t => {
    const options = await place.optionsFor(t)
    const cask = await open(t, options)
    const { keys } = cask.account()
    const writes = Array.from({ length: 50 }, (_, n) => keys.set({ session: { [n]: n } }))
    const flushed = cask.flush()
    await cask.close()
    await Promise.all([...writes, flushed])
    if (place.isFile) assert.equal((await recordsOf((await open(t, options)).account().keys, 'session')).length, 50)
  })

  test('reads that are under way when close is called are answered', async t => {
    const options = await place.optionsFor(t)
    const cask = await open(t, options)
    await cask.account().saveCreds({ n: 1 })
    await cask.account().keys.set({ session: Object.fromEntries(Array.from({ length: 100 }, (_, n) => [n, bytes(5000, n)])) })
    if (place.isFile) await cask.close()
    // Nothing is cached now: in a folder these reads wait for the disk.
    const again = place.isFile ? await open(t, { ...options, cacheBytes: 0 }) : cask
    const account = again.account()
    const reads = [account.loadCreds(), ...Array.from({ length: 100 }, (_, n) => account.keys.get('session', [String(n), String(99 - n)]))]
    await again.close()
    const [creds, ...found] = await Promise.all(reads)
    assert.deepEqual(creds, { n: 1 })
    for (const [n, values] of found.entries()) assert.deepEqual(values, { [n]: bytes(5000, n), [99 - n]: bytes(5000, 99 - n) })
  })

  test('flush resolves with nothing to do, many at once, and after writes', async t => {
    const cask = await openHere(t)
    await cask.flush()
    const writes = Array.from({ length: 20 }, (_, n) => cask.account().keys.set({ session: { [n]: n } }))
    await Promise.all([...writes, cask.flush(), cask.flush(), cask.flush()])
    assert.equal(await cask.flush(), undefined)
  })
})

inFolders(place => {
  test('everything is there after reopening, and nothing that was removed', async t => {
    const options = await place.optionsFor(t)
    const data = Object.fromEntries(CONFUSING_IDS.map((id, n) => [id, { n, bytes: bytes(n * 50, n) }]))
    for (let round = 0; round < 3; round++) {
      const cask = await open(t, options)
      const a = cask.account('a')
      if (round > 0) {
        assert.deepEqual(Object.fromEntries(await collect(a.keys.list('session'))), data)
        assert.deepEqual(await a.loadCreds(), { round: round - 1, key: bytes(32, round - 1) })
        assert.deepEqual(await recordsOf(cask.account('b').keys, 'custom'), [['kept', round - 1]])
        assert.deepEqual(await cask.accounts(), ['a', 'b'])
        assert.deepEqual(cask.recovery, { cutBytes: 0, cutFrames: 0 }, 'a clean close leaves nothing to cut off')
      }
      await a.keys.set({ session: { ...data, removed: 1 } })
      await a.keys.set({ session: { removed: null } })
      await a.saveCreds({ round, key: bytes(32, round) })
      await cask.account('b').keys.set({ custom: { gone: 1, 'gone too': bytes(20_000, 1) } })
      await cask.account('b').keys.clear()
      await cask.account('b').keys.set({ custom: { kept: round } })
      await cask.account('c').saveCreds({ round })
      await cask.account('c').drop()
      await cask.close()
    }
  })

  test('new folders are for their owner only', async t => {
    const options = await place.optionsFor(t)
    options.path += '/deep/er'
    const cask = await open(t, options)
    await cask.account().keys.set({ session: { a: 1 } })
    await cask.close()
    const mode = path => (statSync(path).mode & 0o777).toString(8)
    assert.equal(mode(options.path), '700')
    for (const name of ['lock']) assert.equal(mode(`${options.path}/${name}`), '600')
  })

  test('a value larger than a segment comes back after reopening', async t => {
    const options = await place.optionsFor(t)
    const cask = await open(t, options)
    const large = bytes(40_000_000, 3)
    await cask.account().keys.set({ session: { before: 1 }, 'sender-key': { large } })
    await cask.account().keys.set({ session: { after: 1 } })
    await cask.close()
    const { keys } = (await open(t, options)).account()
    assert.ok((await keys.get('sender-key', ['large'])).large.equals(large))
    assert.deepEqual(await recordsOf(keys, 'session'), [['after', 1], ['before', 1]])
  })
})

describe('handles', () => {
  test('a cask in memory without a name is its handle\'s own', async t => {
    const [a, b] = [await open(t), await open(t, {})]
    await a.account().keys.set({ session: { a: 1 } })
    assert.deepEqual(await b.accounts(), [])
    assert.equal(a.path, undefined)
    assert.deepEqual(a.recovery, { cutBytes: 0, cutFrames: 0 })
  })

  test('a thousand accounts of one cask keep their own records', async t => {
    const cask = await open(t, { path: newPath(t) })
    const accounts = Array.from({ length: 1000 }, (_, n) => cask.account(`account-${n}`))
    await Promise.all(accounts.map(({ keys }, n) => keys.set({ session: { id: n } })))
    for (const [n, { keys }] of accounts.entries()) assert.deepEqual(await keys.get('session', ['id']), { id: n })
    assert.equal((await cask.accounts()).length, 1000)
  })

  test('many opens and closes of one thread leave nothing behind', async t => {
    const path = newPath(t)
    for (let n = 0; n < 60; n++) {
      const cask = await openCask({ path })
      const { keys } = cask.account()
      assert.deepEqual(await keys.get('session', ['n']), n === 0 ? {} : { n: n - 1 })
      await keys.set({ session: { n } })
      await cask.close()
    }
  })

  test('hundreds of waits at once are all answered', async t => {
    const cask = await open(t, { path: newPath(t), durability: 'power' })
    const { keys } = cask.account()
    const count = 40_000
    const writes = Array.from({ length: count }, (_, n) => keys.set({ session: { [n % 100]: n } }))
    await Promise.all(writes)
    assert.equal((await keys.get('session', ['99']))[99], count - 1)
  })
})
