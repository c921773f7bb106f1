import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { closeSync, cpSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { useMultiFileAuthState } from 'baileys'
import { attachCask, openCask, useCaskAuthState } from 'baileys-cask'
import { contents, inEveryPlace, open } from './helpers/casks.mjs'
import { imageOf, logOf, newPath, tempFolder } from './helpers/folders.mjs'
import { firstFailure } from './helpers/gate.mjs'
import { startChild } from './helpers/remote.mjs'
import { runScript } from './helpers/script.mjs'
import { xxh3Of16 } from './helpers/xxh3.mjs'

const LONE = '\ud83d'
const isMistake = (type, argument, message) => error => {
  assert.ok(error instanceof type, `${error.name}: ${error.message}`)
  assert.equal(error.code, 'ERR_CASK_INVALID_ARGUMENT')
  assert.equal(error.argument, argument)
  assert.match(error.message, message)
  return true
}

/** A cask with something in it, and a check that it still holds just that and takes writes. */
async function filled(t, place) {
  const cask = await open(t, await place.optionsFor(t))
  const account = cask.account()
  await account.saveCreds({ me: { id: 'x' }, key: Buffer.alloc(32, 1) })
  await account.keys.set({ session: { a: { n: 1 }, b: Buffer.alloc(50, 2) }, 'lid-mapping': { c: 'd' }, other: { e: [1, 2] } })
  await cask.account('second').keys.set({ session: { a: 'second' } })
  const before = await contents(cask)
  const unchanged = async () => {
    assert.deepEqual(await contents(cask), before)
    await account.keys.set({ 'tctoken': { probe: 1 } })
    assert.deepEqual(await account.keys.get('tctoken', ['probe']), { probe: 1 })
    await account.keys.set({ 'tctoken': { probe: null } })
  }
  return { cask, account, keys: account.keys, unchanged }
}

/** Refused through the key store and through a transaction, which stays as it was too. */
async function refusedEverywhere(t, place, call, check) {
  const { keys, unchanged } = await filled(t, place)
  await assert.rejects(async () => call(keys), check)
  await unchanged()
  await keys.transaction(async tx => {
    await tx.set({ 'tctoken': { staged: 1 } })
    await assert.rejects(async () => call(tx), check)
    assert.deepEqual(await tx.get('session', ['a']), { a: { n: 1 } })
  })
  assert.deepEqual(await keys.get('tctoken', ['staged']), { staged: 1 })
  await keys.set({ 'tctoken': { staged: null } })
  await unchanged()
}

const NOT_OBJECTS = { 'a number': 1, 'a string': 'session', null: null, undefined: undefined, 'an array': [{ a: 1 }], 'a function': () => {}, 'a symbol': Symbol('x'), 'a bigint': 1n }
const NOT_RECORDS = {
  'a Map': new Map([['session', { a: 2 }]]), 'a Set': new Set([1]), 'a Buffer': Buffer.from('ab'), 'a Uint8Array': new Uint8Array(2), 'a Date': new Date(0),
  'an ArrayBuffer': new ArrayBuffer(2), 'a typed array': new Int32Array(2), 'a Promise': Promise.resolve({}), 'a RegExp': /x/, 'an Error': new Error('x'),
}
const NOT_FAMILIES = { 'a number': 1, 'an empty string': '', null: null, undefined: undefined, 'an object': {}, 'a symbol': Symbol('x'), 'half of a pair': LONE, 'a long half of a pair': LONE + 'x'.repeat(400) }
const NOT_IDS = { 'a number': 1, 'an empty string': '', null: null, undefined: undefined, 'an object': {}, 'a symbol': Symbol('x'), 'half of a pair': LONE, 'half of a pair at the end': `a${LONE}`, 'halves in the wrong order': '\udd11\ud83d' }

inEveryPlace(place => {
  for (const [name, value] of Object.entries({ ...NOT_OBJECTS, ...NOT_RECORDS })) {
    test(`set of ${name} is refused`, t => refusedEverywhere(t, place, store => store.set(value), isMistake(TypeError, 'data', /data is an object of values by family and id/)))
  }

  const { null: _, undefined: __, ...notRecords } = { ...NOT_OBJECTS, ...NOT_RECORDS }
  for (const [name, value] of Object.entries(notRecords)) {
    test(`${name} in the place of a family's records is refused`, t => refusedEverywhere(t, place,
      store => store.set({ session: { a: 2 }, 'pre-key': value }), isMistake(TypeError, 'data', /pre-key is an object of values by id/)))
  }

  for (const [name, family] of Object.entries(NOT_FAMILIES)) {
    test(`${name} is no family`, t => refusedEverywhere(t, place,
      store => store.get(family, ['a']), isMistake(TypeError, 'family', /a family is a string that is not empty/)))
  }

  test('listing what is no family is refused by the first step', async t => {
    const { keys, unchanged } = await filled(t, place)
    for (const family of Object.values(NOT_FAMILIES)) {
      for (const list of [keys.list, keys.listIds]) {
        const listed = list(family)
        await assert.rejects(listed[Symbol.asyncIterator]().next(), isMistake(TypeError, 'family', /a family is a string/))
      }
    }
    await unchanged()
  })

  test('writing an empty family, or half of a surrogate pair, is refused', async t => {
    for (const family of ['', LONE]) {
      await refusedEverywhere(t, place, store => store.set({ session: { a: 2 }, [family]: { a: 2 } }), isMistake(TypeError, 'family', /a family is a string/))
    }
  })

  test('a family of more than 255 bytes is refused, with both lengths', async t => {
    for (const family of ['f'.repeat(256), '\u00e9'.repeat(128)]) {
      const check = isMistake(RangeError, 'family', /has 256 bytes and may have 255/)
      await refusedEverywhere(t, place, store => store.set({ session: { a: 2 }, [family]: { a: 2 } }), check)
      await refusedEverywhere(t, place, store => store.get(family, ['a']), check)
    }
  })

  for (const [name, id] of Object.entries(NOT_IDS)) {
    test(`${name} is no id to read`, t => refusedEverywhere(t, place,
      store => store.get('session', ['a', id]), isMistake(TypeError, 'id', /an id of session (is a string that is not empty|holds half of a surrogate pair)/)))
  }

  test('ids that are no array are refused', async t => {
    for (const ids of ['a', undefined, null, 1, new Set(['a']), { 0: 'a', length: 1 }]) {
      await refusedEverywhere(t, place, store => store.get('session', ids), isMistake(TypeError, 'ids', /ids are an array of strings/))
    }
  })

  test('writing or deleting under an empty id, or one with half of a surrogate pair, is refused', async t => {
    for (const id of ['', LONE, `a${LONE}b`]) {
      for (const value of [2, null]) {
        await refusedEverywhere(t, place, store => store.set({ session: { a: 2, [id]: value } }), isMistake(TypeError, 'id', /an id of session/))
      }
    }
  })

  test('an id of more than 4,096 bytes is refused, with both lengths', async t => {
    for (const id of ['i'.repeat(4097), '\u00e9'.repeat(2048) + 'i']) {
      const check = isMistake(RangeError, 'id', /an id of session has 4097 bytes and may have 4096/)
      await refusedEverywhere(t, place, store => store.set({ session: { a: 2, [id]: 2 } }), check)
      await refusedEverywhere(t, place, store => store.get('session', ['a', id]), check)
    }
    await refusedEverywhere(t, place, store => store.get('session', ['i'.repeat(200_000)]), isMistake(RangeError, 'id', /has 200000 bytes/))
  })

  const circular = { list: [] }
  circular.list.push(circular)
  let deep = 1
  for (let n = 0; n < 101; n++) deep = n % 2 ? [deep] : { deep }
  let endless = []
  for (let n = 0; n < 1_000_000; n++) endless = [endless]
  const VALUES = {
    NaN: [{ x: NaN }, '.x'], Infinity: [{ x: [-Infinity] }, '.x[0]'], 'a Map': [{ x: new Map() }, '.x'], 'a Set': [new Set([1]), ''], 'a function': [{ x() {} }, '.x'],
    'a symbol': [{ x: Symbol('s') }, '.x'], 'a bigint': [{ x: 1n }, '.x'], 'a circle': [circular, '.list[0]'], 'a Date': [{ x: new Date() }, '.x'],
    'half of a surrogate pair': [{ x: LONE }, '.x'], 'half of a pair as a key': [{ x: { [LONE]: 1 } }, `.x['\\ud83d']`], 'undefined in an array': [{ x: [undefined] }, '.x[0]'],
    'a hole in an array': [{ x: [1, , 2] }, '.x[1]'], 'an Int32Array': [{ x: new Int32Array(1) }, '.x'], 'an ArrayBuffer': [{ x: new ArrayBuffer(1) }, '.x'],
    'NaN itself': [NaN, ''], 'a function itself': [() => {}, ''], 'a symbol itself': [Symbol('s'), ''],
  }
  for (const [name, [value, trail]] of Object.entries(VALUES)) {
    test(`a value with ${name} is refused, and its place is named`, async t => {
      await refusedEverywhere(t, place, store => store.set({ 'lid-mapping': { c: 'new' }, session: { a: 2, 'x.0': value } }),
        isMistake(TypeError, `session['x.0']${trail}`, /cannot be stored: .{10,}/))
      const { account, unchanged } = await filled(t, place)
      if (typeof value === 'object') {
        await assert.rejects(account.saveCreds(value), isMistake(TypeError, `creds${trail}`, /creds.* cannot be stored/))
        await assert.rejects(account.keys.transaction(async tx => tx.setCreds(value)), TypeError)
      }
      await unchanged()
    })
  }

  for (const [name, value] of [['101 levels', deep], ['a million levels', endless]]) {
    test(`a value of ${name} is refused`, t => refusedEverywhere(t, place, store => store.set({ session: { a: 2, x: value } }), error => {
      assert.ok(error instanceof TypeError)
      assert.equal(error.code, 'ERR_CASK_INVALID_ARGUMENT')
      assert.match(error.argument, /^session\['x'\]/)
      assert.match(error.message, /deep|inside one another|nest/i)
      return true
    }))
  }

  test('a value over the size limit is refused, with its length and the limit', async t => {
    const { keys, unchanged } = await filled(t, place)
    const tooLarge = Buffer.alloc(128 * 1024 * 1024)
    await assert.rejects(keys.set({ session: { a: 2, x: tooLarge } }), isMistake(RangeError, "session['x']", /has 134217729 bytes encoded and may have 134217728/))
    await unchanged()
  })

  test('creds that are no object are refused', async t => {
    const { account, keys, unchanged } = await filled(t, place)
    for (const creds of [undefined, null, 1, 'creds', [1], () => {}, new Map([['me', 1]]), new Uint8Array(3), new Date(0)]) {
      const check = error => error instanceof TypeError && error.code === 'ERR_CASK_INVALID_ARGUMENT' && error.argument === 'creds' && /creds/.test(error.message)
      await assert.rejects(account.saveCreds(creds), check)
      await assert.rejects(keys.transaction(async tx => tx.setCreds(creds)), check)
    }
    await unchanged()
  })

  test('work that is no function, a label that is no text, and unknown options are refused', async t => {
    const { keys, unchanged } = await filled(t, place)
    let runs = 0
    const work = async () => runs++
    await keys.transaction(async tx => {
      for (const transaction of [keys.transaction, tx.transaction]) {
        for (const bad of [undefined, null, 1, 'work', {}, Promise.resolve()]) await assert.rejects(transaction(bad, 'l'), isMistake(TypeError, 'work', /work is a function/))
        for (const label of [null, 1, '', {}, LONE, Symbol('x')]) await assert.rejects(transaction(work, label), isMistake(TypeError, 'label', /a label is a string/))
        for (const options of [null, 1, 'x']) await assert.rejects(transaction(work, 'l', options), isMistake(TypeError, 'options', /options are an object/))
        await assert.rejects(transaction(work, 'l', { tiemout: 1 }), isMistake(TypeError, 'options', /tiemout is not known/))
      }
    })
    assert.equal(runs, 0)
    await unchanged()
  })

  test('names that are none are refused', async t => {
    const { cask, unchanged } = await filled(t, place)
    for (const name of [null, 1, '', {}, LONE, Symbol('x')]) {
      assert.throws(() => cask.account(name), isMistake(TypeError, 'name', /account's name is a string/))
    }
    for (const name of ['n'.repeat(100_000), '\u00e9'.repeat(50_000)]) {
      assert.throws(() => cask.account(name), error => {
        assert.equal(error.code, 'ERR_CASK_INVALID_ARGUMENT')
        assert.equal(error.argument, 'name')
        assert.match(error.message, /has 100000 bytes and must have 1 to \d+/)
        return true
      })
    }
    await unchanged()
  })
})

describe('options', () => {
  const refusedOptions = [
    [null, 'options', TypeError], [1, 'options', TypeError], ['path', 'options', TypeError], [['path'], 'options', TypeError], [[], 'options', TypeError],
    [{ pth: 'x' }, 'options', TypeError, /pth is not known; known are path/], [{ encryption: 'x' }, 'options', TypeError, /encryption is not known/],
    [{ constructor: 1 }, 'options', TypeError, /constructor is not known/], [JSON.parse('{"__proto__": 1}'), 'options', TypeError, /__proto__ is not known/],
    [{ path: 1 }, 'path', TypeError], [{ path: '' }, 'path', TypeError], [{ path: null }, 'path', TypeError], [{ path: Buffer.from('x') }, 'path', TypeError],
    [{ path: 'a\u0000b' }, 'path', TypeError, /NUL/], [{ path: LONE }, 'path', TypeError], [{ path: new URL('file:///tmp') }, 'path', TypeError],
    [{ name: 1 }, 'name', TypeError], [{ name: '' }, 'name', TypeError], [{ path: 'x', name: 'y' }, 'options', TypeError, /give one of them/],
    [{ path: 'x', durability: 'fast' }, 'durability', TypeError, /'process' or 'power'/], [{ durability: 'power' }, 'durability', TypeError, /give a path/],
    [{ path: 'x', syncIntervalMs: '1' }, 'syncIntervalMs', TypeError], [{ path: 'x', syncIntervalMs: -1 }, 'syncIntervalMs', RangeError],
    [{ path: 'x', syncIntervalMs: 1.5 }, 'syncIntervalMs', RangeError], [{ path: 'x', syncIntervalMs: NaN }, 'syncIntervalMs', RangeError],
    [{ path: 'x', syncIntervalMs: 2 ** 31 }, 'syncIntervalMs', RangeError, /at most 2147483647/], [{ path: 'x', cacheBytes: -1 }, 'cacheBytes', RangeError], [{ path: 'x', create: 0 }, 'create', TypeError], [{ create: false }, 'create', TypeError, /in memory/],
    [{ path: 'x', cacheBytes: 1n }, 'cacheBytes', TypeError], [{ path: 'x', openWaitMs: Infinity }, 'openWaitMs', RangeError], [{ path: 'x', openWaitMs: null }, 'openWaitMs', TypeError],
    [{ logger: {} }, 'logger', TypeError, /pino/], [{ logger: null }, 'logger', TypeError], [{ logger: console.log }, 'logger', TypeError],
    [{ baileys: {} }, 'baileys', TypeError, /initAuthCreds/], [{ baileys: null }, 'baileys', TypeError],
  ]
  for (const [options, argument, type, message = /./] of refusedOptions) {
    const shown = typeof options === 'object' && options ? Object.entries(options).map(([name, value]) => `${name}: ${String(value)}`).join(', ') : String(options)
    test(`openCask refuses { ${shown} }`.replace(/[\0\ud83d]/g, '?'), async t => {
      const cwd = tempFolder(t)
      const before = process.cwd()
      process.chdir(cwd)
      try {
        await assert.rejects(openCask(options), isMistake(type, argument, message))
        assert.deepEqual(readdirSync(cwd), [], 'nothing was made')
      } finally {
        process.chdir(before)
      }
    })
  }

  test('options that are undefined count as absent', async t => {
    await open(t, { path: undefined, name: undefined, durability: undefined, logger: undefined, baileys: undefined, cacheBytes: undefined })
  })

  test('useCaskAuthState refuses what it cannot use, and makes nothing', async t => {
    const cask = await open(t)
    const path = newPath(t)
    const cases = [
      [[undefined], 'target'], [[null], 'target'], [[1], 'target'], [[''], 'target'], [[{}], 'target'], [[{ account: () => {} }], 'target'],
      [[path, null], 'options'], [[path, 1], 'options'], [[path, []], 'options'], [[path, { path }], 'options'], [[path, { name: 'x' }], 'options'], [[path, { acount: 'x' }], 'options'],
      [[path, { account: '' }], 'account'], [[path, { account: 1 }], 'account'], [[path, { account: LONE }], 'account'], [[path, { baileys: {} }], 'baileys'],
      [[cask, { durability: 'process' }], 'options'], [[cask, { account: '' }], 'account'], [[cask, { baileys: {} }], 'baileys'],
    ]
    for (const [call, argument] of cases) {
      await assert.rejects(useCaskAuthState(...call), error => {
        assert.equal(error.code, 'ERR_CASK_INVALID_ARGUMENT', `${argument}: ${error.stack}`)
        assert.ok(error instanceof TypeError, argument)
        assert.deepEqual([error.argument, error.retryable], [argument, false])
        return true
      })
    }
    assert.deepEqual(await cask.accounts(), [])
    assert.equal(existsSync(path), false, 'a mistake in the options must not make a folder')
  })

  test('attachCask refuses what is neither a cask nor a name', () => {
    for (const ref of [1, '', {}, [], true, Symbol('x'), LONE]) {
      assert.throws(() => attachCask(ref), { name: 'TypeError', code: 'ERR_CASK_INVALID_ARGUMENT', argument: 'ref' }, String(ref))
    }
    assert.equal(attachCask(undefined), undefined)
    assert.equal(attachCask(null), undefined)
  })
})

describe('paths', () => {
  test('a path that is a file is refused, and the file stays', async t => {
    const path = join(tempFolder(t), 'file')
    writeFileSync(path, 'mine')
    for (const inside of [path, join(path, 'cask'), join(path, 'a', 'b')]) {
      await assert.rejects(openCask({ path: inside }), error => {
        assert.equal(error.code, 'ERR_CASK_INVALID_ARGUMENT')
        assert.equal(error.argument, 'path')
        assert.equal(error.path, inside)
        assert.match(error.message, /give the path of a folder/)
        return true
      })
    }
    assert.equal(readFileSync(path, 'utf8'), 'mine')
  })

  test('with create: false only a cask that is there is opened, and none is made', async t => {
    const path = newPath(t)
    const refused = { code: 'ERR_CASK_INVALID_ARGUMENT', argument: 'path', path, retryable: false, message: /holds no cask/ }
    await assert.rejects(openCask({ path, create: false }), refused)
    await assert.rejects(useCaskAuthState(path, { create: false }), { ...refused, argument: 'target' })
    assert.equal(existsSync(path), false)
    // A mount point without its volume.
    mkdirSync(path)
    await assert.rejects(openCask({ path, create: false }), refused)
    assert.deepEqual(readdirSync(path), [])
    const made = await open(t, { path })
    await made.account().keys.set({ session: { a: 1 } })
    await made.close()
    const there = await open(t, { path, create: false })
    assert.deepEqual(await there.account().keys.get('session', ['a']), { a: 1 })
  })

  test('a folder of another program is refused and stays untouched', async t => {
    const path = tempFolder(t)
    writeFileSync(join(path, 'data.db'), 'mine')
    mkdirSync(join(path, 'sub'))
    const before = imageOf(path)
    await assert.rejects(openCask({ path }), { code: 'ERR_CASK_INVALID_ARGUMENT', argument: 'path', path, message: /not a cask's; give an empty or a new folder/ })
    assert.deepEqual(imageOf(path), before)
  })

  test('a folder of useMultiFileAuthState is refused with words that fit, and stays untouched', async t => {
    const path = tempFolder(t)
    const { state, saveCreds } = await useMultiFileAuthState(path)
    await saveCreds()
    await state.keys.set({ session: { a: { n: 1 } } })
    const before = imageOf(path)
    for (const [argument, call] of [['path', () => openCask({ path })], ['target', () => useCaskAuthState(path)]]) {
      await assert.rejects(call, { code: 'ERR_CASK_INVALID_ARGUMENT', argument, message: /useMultiFileAuthState; give the cask a folder of its own/ })
    }
    assert.deepEqual(imageOf(path), before)
  })

  test('an empty folder that is there already is taken', async t => {
    const path = tempFolder(t)
    await (await open(t, { path })).account().keys.set({ session: { a: 1 } })
  })

  test('a folder that a running process holds is refused with its pid and host; what it holds stays', async t => {
    const path = newPath(t)
    const child = await startChild(t)
    await child.run(async ({ openCask, kept }, path) => {
      kept.cask = await openCask({ path })
      await kept.cask.account().keys.set({ session: { a: 1 } })
    }, path)
    const check = {
      name: 'CaskError', code: 'ERR_CASK_LOCKED', retryable: true, path, pid: child.pid, host: hostname(),
      message: /is held by process \d+ on .*; stop that process or set openWaitMs/,
    }
    await assert.rejects(openCask({ path }), check)
    await assert.rejects(useCaskAuthState(path), check)
    assert.throws(() => attachCask(path), { code: 'ERR_CASK_CLOSED', message: /open it with openCask/ })
    assert.deepEqual(await child.run(({ kept }) => kept.cask.account().keys.get('session', ['a'])), { a: 1 })
    await child.run(({ kept }) => kept.cask.close())
    assert.deepEqual(await contents(await open(t, { path })), { default: { creds: undefined, records: { session: [['a', 1]] } } })
  })

  for (const durability of ['process', 'power']) test(`a folder deleted while open is noticed with ${durability}: reads and writes say what to do`, async t => {
    const path = newPath(t)
    const cask = await openCask({ path, durability, syncIntervalMs: 1 })
    const { keys } = cask.account()
    await keys.set({ session: { a: 1 } })
    rmSync(path, { recursive: true })
    const error = await firstFailure('a write is refused', () => keys.set({ session: { b: 2 } }))
    const check = { name: 'CaskError', code: 'ERR_CASK_DETACHED', path, retryable: false, message: /removed or replaced while it was open; open the path again/ }
    assert.throws(() => { throw error }, check)
    await assert.rejects(keys.get('session', ['a']), check)
    await assert.rejects(cask.flush(), check)
    await assert.rejects(cask.accounts(), check)
    await assert.rejects(cask.account().saveCreds({}), check)
    await assert.rejects(keys.transaction(async tx => tx.set({ session: { c: 1 } })), check)
    await cask.close()
    assert.equal(existsSync(path), false)
  })

  test('closing a cask whose folder was deleted is no mistake', async t => {
    for (const durability of ['process', 'power']) {
      const path = newPath(t)
      const cask = await openCask({ path, durability, syncIntervalMs: 60_000 })
      await cask.account().keys.set({ session: { a: 1 } })
      rmSync(path, { recursive: true })
      await cask.close()
      assert.equal(existsSync(path), false)
    }
  })

  test('a folder replaced while open is left alone, and the new one opens as itself', async t => {
    const path = newPath(t)
    const backup = newPath(t)
    const writer = await openCask({ path })
    await writer.account().keys.set({ session: { of: 'backup' } })
    await writer.close()
    cpSync(path, backup, { recursive: true })

    const old = await openCask({ path, syncIntervalMs: 1 })
    await old.account().keys.set({ session: { of: 'old' } })
    renameSync(path, `${path}-old`)
    cpSync(backup, path, { recursive: true })
    const before = imageOf(path)
    await firstFailure('a write is refused', () => old.account().keys.set({ session: { of: 'late' } }))
    assert.deepEqual(imageOf(path), before, 'the old handle touches nothing in the new folder')
    await old.close()
    assert.deepEqual(imageOf(path), before, 'nor does its close')
    const cask = await open(t, { path })
    assert.deepEqual(await cask.account().keys.get('session', ['of']), { of: 'backup' })
    rmSync(`${path}-old`, { recursive: true })
  })

  test('a folder without write permission is refused with the system\'s reason, and opens once it is allowed', async t => {
    if (process.platform === 'win32') return t.skip('modes mean something else here')
    const parent = tempFolder(t)
    const path = join(parent, 'cask')
    const cask = await openCask({ path })
    await cask.account().keys.set({ session: { a: 1 } })
    await cask.close()
    const before = logOf(path)
    // Root may write anywhere: there the attempt is made by a process that has given its rights up.
    const source = `
      import { chmodSync } from 'node:fs'
      import { openCask } from 'baileys-cask'
      const [parent, path] = ${JSON.stringify([parent, path])}
      const codeOf = work => work.then(() => 'opened', ({ code, syscall, errno, path, message }) => ({ code, syscall, errno, path, message }))
      chmodSync(parent, 0o755)
      chmodSync(path, 0o755)
      if (process.getuid() === 0) { process.setgid(65534); process.setuid(65534) } else { chmodSync(path, 0o500); chmodSync(path + '/lock', 0o400); chmodSync(parent, 0o500) }
      console.log(JSON.stringify([await codeOf(openCask({ path })), await codeOf(openCask({ path: parent + '/new' }))]))`
    const { stdout, stderr } = await runScript(source)
    rmSync(join(path, 'never'), { force: true })
    const [existing, fresh] = JSON.parse(stdout || `[{"message":${JSON.stringify(stderr)}}]`)
    assert.deepEqual([existing.code, existing.errno, fresh.code, fresh.errno], ['ERR_CASK_IO', 13, 'ERR_CASK_IO', 13], existing.message)
    assert.equal(fresh.syscall, 'mkdir')
    assert.match(existing.message, /failed on .*cask.*: Permission denied/)
    const { chmodSync } = await import('node:fs')
    chmodSync(parent, 0o700)
    chmodSync(path, 0o700)
    chmodSync(join(path, 'lock'), 0o600)
    assert.deepEqual(logOf(path), before)
    assert.deepEqual(await contents(await open(t, { path })), { default: { creds: undefined, records: { session: [['a', 1]] } } })
  })

  test('a path too long for the system is refused with the system\'s reason', async t => {
    const path = join(tempFolder(t), 'x'.repeat(300))
    await assert.rejects(openCask({ path }), error => {
      assert.equal(error.code, 'ERR_CASK_IO')
      assert.equal(error.path, path)
      assert.ok(error.errno > 0 && typeof error.syscall === 'string' && typeof error.cause === 'string')
      return true
    })
  })
})

describe('what lies in the folder', () => {
  async function written(t) {
    const path = newPath(t)
    const cask = await openCask({ path })
    await cask.account().keys.set({ session: { a: 1, b: Buffer.alloc(5000, 7) } })
    await cask.account().saveCreds({ me: 1 })
    const before = await contents(cask)
    await cask.close()
    return { path, before }
  }
  /** Files that start with the frozen preamble. */
  const formatted = path => readdirSync(path).filter(name => statSync(join(path, name)).size >= 24 && !['owner', 'lock'].includes(name))
  const patch = (path, at, bytes) => {
    const file = openSync(path, 'r+')
    writeSync(file, bytes, 0, bytes.length, at)
    closeSync(file)
  }

  test('a log of a newer format version is refused with both versions, and stays untouched', async t => {
    const { path, before } = await written(t)
    const names = formatted(path)
    assert.ok(names.length >= 2, names.join())
    for (const name of names) {
      const file = join(path, name)
      const original = readFileSync(file)
      const start = Buffer.from(original.subarray(0, 24))
      assert.equal(start.readBigUInt64LE(16), xxh3Of16(start), 'the check is what docs/format.md says')
      start.writeUInt16LE(9, 8)
      start.writeBigUInt64LE(xxh3Of16(start), 16)
      patch(file, 0, start)
      const image = logOf(path)
      await assert.rejects(openCask({ path }), {
        name: 'CaskError', code: 'ERR_CASK_VERSION', path: file, found: 9, supported: 1, retryable: false, message: /format version 9 and this package reads version 1; upgrade baileys-cask/,
      })
      assert.deepEqual(logOf(path), image)
      writeFileSync(file, original)
    }
    assert.deepEqual(await contents(await open(t, { path })), before)
  })

  test('damage below what was synced is refused with file and offset, and nothing is changed on disk', async t => {
    const { path, before } = await written(t)
    for (const name of formatted(path)) {
      const file = join(path, name)
      const original = readFileSync(file)
      for (const at of [0, 9, 17, 40, Math.floor(original.length / 2), original.length - 1]) {
        patch(file, at, Buffer.from([original[at] ^ 0x40]))
        const image = logOf(path)
        await assert.rejects(openCask({ path }), error => {
          assert.equal(error.code, 'ERR_CASK_CORRUPT', `${name} at ${at}: ${error.message}`)
          assert.equal(error.path, file)
          assert.ok(Number.isSafeInteger(error.offset) && error.offset <= at, `${name} at ${at}: offset ${error.offset}`)
          assert.match(error.message, /is damaged at byte \d+: .*; nothing was changed on disk, restore a backup/)
          return true
        })
        assert.deepEqual(logOf(path), image)
        writeFileSync(file, original)
      }
    }
    assert.deepEqual(await contents(await open(t, { path })), before)
  })

  test('a missing log is damage, not an empty cask', async t => {
    const { path } = await written(t)
    for (const name of formatted(path)) {
      const copy = newPath(t)
      cpSync(path, copy, { recursive: true })
      rmSync(join(copy, name))
      await assert.rejects(openCask({ path: copy }), { code: 'ERR_CASK_CORRUPT' }, name)
    }
  })
})

describe('the system refuses a write', () => {
  test('a file size limit fails the write, keeps the old state, and lets later writes through', async t => {
    if (process.platform === 'win32') return t.skip('no ulimit')
    const path = newPath(t)
    // The limit of 64 KiB stands for a full disk: the write is short, then refused.
    const { stdout, stderr } = await runScript(`
      import { openCask } from 'baileys-cask'
      const cask = await openCask({ path: ${JSON.stringify(path)} })
      const { keys } = cask.account()
      await keys.set({ session: { small: 1 } })
      let acknowledged = 0
      let failure
      try {
        for (;;) {
          await keys.set({ session: { counter: acknowledged + 1 }, 'sender-key': { pad: Buffer.alloc(10_000, acknowledged) } })
          acknowledged++
        }
      } catch ({ name, code, retryable, syscall, errno, path, cause, message }) {
        failure = { name, code, retryable, syscall, errno, path, cause, message }
      }
      const seen = await keys.get('session', ['small', 'counter'])
      const tooLarge = await keys.set({ 'sender-key': { huge: Buffer.alloc(200_000) }, session: { small: 'torn' } }).then(() => 'stored', error => error.code)
      await keys.set({ session: { later: 1 } })
      const end = await keys.get('session', ['small', 'counter', 'later'])
      console.log(JSON.stringify({ acknowledged, failure, seen, tooLarge, end }))
      await cask.close()`, { shell: 'ulimit -f 64' })
    assert.ok(stdout, stderr)
    const { acknowledged, failure, seen, tooLarge, end } = JSON.parse(stdout)
    assert.ok(acknowledged > 2, `${acknowledged} writes fit`)
    const { message, cause, path: file, ...facts } = failure
    assert.deepEqual(facts, { name: 'CaskError', code: 'ERR_CASK_IO', retryable: true, syscall: 'write', errno: 27 })
    assert.match(message, /write failed on .*File too large/)
    assert.ok(file.startsWith(path) && /File too large/.test(cause))
    assert.deepEqual(seen, { small: 1, counter: acknowledged })
    assert.equal(tooLarge, 'ERR_CASK_IO')
    assert.deepEqual(end, { small: 1, counter: acknowledged, later: 1 })
    const cask = await open(t, { path })
    assert.deepEqual(await cask.account().keys.get('session', ['small', 'counter', 'later', 'huge']), end, 'and so after reopening')
  })
})
