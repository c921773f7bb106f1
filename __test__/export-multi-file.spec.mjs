import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { useMultiFileAuthState } from 'baileys'
import * as v67 from '@whiskeysockets/baileys'
import { exportMultiFile, importMultiFile, openCask } from 'baileys-cask'
import { authFolder, kept, linkedCreds, ONE_OF_EACH, textsIn } from './helpers/auth-folders.mjs'
import { contents, open, recordsOf } from './helpers/casks.mjs'
import { imageOf, newPath, tempFolder } from './helpers/folders.mjs'
import { isPending, within } from './helpers/gate.mjs'
import { heldOpen } from './helpers/held-open.mjs'
import { startChild } from './helpers/remote.mjs'

/** An account with creds and records. */
async function filled(t, records = ONE_OF_EACH, creds = linkedCreds(), options) {
  const account = (await open(t, options)).account()
  await account.saveCreds(creds)
  await account.keys.set(records)
  return account
}

/** A path in a new folder, and what is in that folder. */
function place(t) {
  const folder = newPath(t, 'auth')
  return { folder, names: () => readdirSync(dirname(folder)) }
}

/** Bytes in the log of a cask. */
const bytesIn = path => readdirSync(path).filter(name => name.endsWith('.seg')).reduce((sum, name) => sum + statSync(join(path, name)).size, 0)

describe('what Baileys reads', () => {
  for (const [version, baileys] of Object.entries({ '7.0.0-rc14': { useMultiFileAuthState }, '6.7.24': v67 })) {
    test(`${version} finds its creds and every record`, async t => {
      const creds = linkedCreds()
      const account = await filled(t, ONE_OF_EACH, creds)
      const { folder, names } = place(t)
      const result = await exportMultiFile(account, folder)
      assert.deepEqual(result.records, Object.fromEntries(Object.entries(ONE_OF_EACH).map(([family, values]) => [family, Object.keys(values).length])))
      const { state } = await baileys.useMultiFileAuthState(folder)
      assert.deepEqual(state.creds, kept(creds))
      for (const [family, values] of Object.entries(ONE_OF_EACH)) {
        const found = await state.keys.get(family, Object.keys(values))
        if (family !== 'app-state-sync-key') assert.deepEqual(found, kept(values), family)
        else for (const [id, { toJSON }] of Object.entries(found)) {
          assert.deepEqual(toJSON.call(found[id]), { keyData: Buffer.alloc(32, 3).toString('base64'), fingerprint: { rawId: 9, currentIndex: 1, deviceIndexes: [0, 1] }, timestamp: '1700000000000' })
        }
      }
      assert.deepEqual(names(), ['auth'])
    })
  }

  test('the texts are those that Baileys writes, and only the owner can read them', async t => {
    const creds = linkedCreds()
    const theirs = await authFolder(t, { ...ONE_OF_EACH, 'app-state-sync-key': {} }, creds)
    const account = await filled(t, { ...ONE_OF_EACH, 'app-state-sync-key': {} }, creds)
    const { folder } = place(t)
    await exportMultiFile(account, folder)
    assert.deepEqual(textsIn(folder), textsIn(theirs))
    if (process.platform !== 'win32') {
      assert.equal(statSync(folder).mode & 0o777, 0o700)
      for (const name of readdirSync(folder)) assert.equal(statSync(join(folder, name)).mode & 0o777, 0o600, name)
    }
  })

  test('an app state sync key is written as protobuf does it, whether the cask makes messages of them or not', async t => {
    const { proto, initAuthCreds } = await import('baileys')
    const keys = { a: { keyData: Buffer.alloc(32, 1), timestamp: -5, fingerprint: { rawId: 4_294_967_295, deviceIndexes: [0, 2] } }, b: { timestamp: 2 ** 52 }, c: {} }
    for (const options of [undefined, { name: `export ${process.pid}`, baileys: { initAuthCreds, proto } }]) {
      const account = await filled(t, { 'app-state-sync-key': keys }, undefined, options)
      const { folder } = place(t)
      await exportMultiFile(account, folder)
      const read = id => JSON.parse(readFileSync(join(folder, `app-state-sync-key-${id}.json`), 'utf8'))
      for (const [id, key] of Object.entries(keys)) assert.deepEqual(read(id), proto.Message.AppStateSyncKeyData.fromObject(key).toJSON())
    }
  })

  test('families that Baileys does not know, and values that it would delete', async t => {
    const account = await filled(t, { mine: { a: '', b: 0, c: false, 'd/e:f': { x: [null] } }, 'with/both:signs': { x: 1 } })
    const { folder } = place(t)
    assert.deepEqual((await exportMultiFile(account, folder)).records, { mine: 4, 'with/both:signs': 1 })
    const { 'creds.json': creds, ...texts } = textsIn(folder)
    assert.ok(creds)
    assert.deepEqual(texts, { 'mine-a.json': '""', 'mine-b.json': '0', 'mine-c.json': 'false', 'mine-d__e-f.json': '{"x":[null]}', 'with__both-signs-x.json': '1' })
  })
})

describe('where it goes', () => {
  test('a folder that is not there, however deep, or an empty one', async t => {
    const account = await filled(t)
    const { folder } = place(t)
    await exportMultiFile(account, join(folder, 'a', 'b'))
    mkdirSync(join(folder, 'empty'))
    await exportMultiFile(account, join(folder, 'empty'))
    symlinkSync(join(folder, 'empty2'), join(folder, 'link'))
    mkdirSync(join(folder, 'empty2'))
    await exportMultiFile(account, join(folder, 'link'))
    const texts = textsIn(join(folder, 'a', 'b'))
    assert.equal(Object.keys(texts).length, 19)
    for (const name of ['empty', 'empty2', 'link']) assert.deepEqual(textsIn(join(folder, name)), texts)
    assert.deepEqual(readdirSync(folder).sort(), ['a', 'empty', 'empty2', 'link'])
  })

  test('never one that is not empty, unless that is the folder of a multi-file store and may go', async t => {
    const account = await filled(t, { session: { new: 1 } })
    const { folder, names } = place(t)
    mkdirSync(folder)
    const attempt = (options, message) => assert.rejects(exportMultiFile(account, folder, options), { name: 'CaskError', code: 'ERR_CASK_INVALID_ARGUMENT', argument: 'folder', path: folder, message })
    writeFileSync(join(folder, 'notes.txt'), 'mine')
    await attempt({}, /is not empty/)
    await attempt({ replace: true }, /not the folder of a multi-file store/)
    const old = await authFolder(t, { session: { old: 1 }, 'pre-key': { 1: { public: Buffer.alloc(1), private: Buffer.alloc(1) } } })
    for (const [name, text] of Object.entries(textsIn(old))) writeFileSync(join(folder, name), text)
    await attempt({}, /is not empty/)
    await attempt({ replace: true }, /it holds notes\.txt; it is not replaced/)
    assert.equal(readFileSync(join(folder, 'notes.txt'), 'utf8'), 'mine')
    await attempt({ replace: false }, /is not empty/)
    assert.deepEqual(names(), ['auth'])
    const file = join(folder, 'notes.txt')
    await assert.rejects(exportMultiFile(account, file), { code: 'ERR_CASK_INVALID_ARGUMENT', message: /is a file/ })

    writeFileSync(join(old, 'session-torn.json'), '')
    writeFileSync(join(old, 'session-old.json.tmp'), '')
    writeFileSync(join(old, 'session-old.json.bak'), '{}')
    await exportMultiFile(account, old, { replace: true })
    assert.deepEqual(readdirSync(old).sort(), ['creds.json', 'session-new.json'])
    assert.deepEqual(readdirSync(dirname(old)), ['auth'])
  })

  test('what fills the folder meanwhile is not replaced', async t => {
    const account = await filled(t)
    const { folder, names } = place(t)
    mkdirSync(folder)
    await assert.rejects(exportMultiFile(account, folder, { onProgress: () => writeFileSync(join(folder, 'notes.txt'), 'mine') }), { code: 'ERR_CASK_IO', syscall: 'rmdir', path: folder })
    assert.deepEqual(textsIn(folder), { 'notes.txt': 'mine' })
    assert.deepEqual(names(), ['auth'])
  })

  test('two at once: each writes by itself, and one of them has the name', async t => {
    const account = await filled(t)
    const { folder, names } = place(t)
    const outcomes = await Promise.allSettled([exportMultiFile(account, folder), exportMultiFile(account, folder)])
    assert.deepEqual(outcomes.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
    assert.equal(outcomes.find(({ reason }) => reason).reason.code, 'ERR_CASK_IO')
    assert.equal(Object.keys(textsIn(folder)).length, 19)
    assert.deepEqual(names(), ['auth'])
  })
})

describe('what cannot be exported', () => {
  test('an account without creds, for Baileys would make new ones', async t => {
    const cask = await open(t)
    const { folder, names } = place(t)
    await assert.rejects(exportMultiFile(cask.account('new'), folder), { code: 'ERR_CASK_CREDS_MISSING', account: 'new' })
    const source = await authFolder(t, ONE_OF_EACH)
    await assert.rejects(importMultiFile(source, cask.account('half'), { onProgress: () => { throw new Error('stop') } }), /stop/)
    const half = { code: 'ERR_CASK_CREDS_MISSING', account: 'half', message: /an import into account half has not ended, from / }
    await assert.rejects(exportMultiFile(cask.account('half'), folder), half)
    await cask.account('half').saveCreds(linkedCreds())
    await assert.rejects(exportMultiFile(cask.account('half'), folder), half, 'creds make it no more whole')
    assert.deepEqual(names(), [])
  })

  test('records that would have one file, or none', async t => {
    const CASES = [
      [{ session: { 'a/b': 1, a__b: 2 } }, /record (a\/b|a__b) of session has the file name of record (a\/b|a__b) of session/], [{ session: { 'a:b': 1, 'a-b': 2 } }, /has the file name/],
      [{ 'sender-key': { 'memory-x': 1 }, 'sender-key-memory': { x: 2 } }, /has the file name/], [{ a: { 'b-c': 1 }, 'a-b': { c: 1 } }, /has the file name/], [{ session: { 'a\0b': 1 } }, /no file name may have/],
      [{ session: { ['x'.repeat(300)]: 1, a: 1 } }, /longer file name/],
    ]
    for (const [records, message] of CASES) {
      const { folder, names } = place(t)
      await assert.rejects(exportMultiFile(await filled(t, records), folder), { code: 'ERR_CASK_INVALID_ARGUMENT', message })
      assert.deepEqual(names(), [])
    }
  })

  test('inside a transaction of the account; wrong arguments', async t => {
    const account = await filled(t)
    const { folder, names } = place(t)
    await assert.rejects(account.keys.transaction(() => exportMultiFile(account, folder)), { code: 'ERR_CASK_INVALID_ARGUMENT', message: /inside a transaction/ })
    for (const [call, argument] of [[[account, 1], 'folder'], [[account, ''], 'folder'], [[folder, account], 'account'], [[account, folder, { overwrite: true }], 'options'], [[account, folder, { replace: 1 }], 'replace'], [[account, folder, { signal: 1 }], 'signal']]) {
      await assert.rejects(exportMultiFile(...call), { name: 'TypeError', code: 'ERR_CASK_INVALID_ARGUMENT', argument })
    }
    assert.deepEqual(names(), [])
  })
})

describe('one moment', () => {
  test('what is written meanwhile waits, and is not in the folder', async t => {
    const records = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [String(i), { n: 1 }]))
    const account = await filled(t, { session: records, mine: { a: { n: 1 } } })
    const { folder } = place(t)
    const writes = []
    await exportMultiFile(account, folder, { onProgress: async () => {
      if (writes.length > 0) return
      for (const data of [
        { session: Object.fromEntries(Object.keys(records).map(id => [id, { n: 2 }])) }, { mine: { a: { n: 2 } } }, { 'pre-key': { 9: { public: Buffer.alloc(1), private: Buffer.alloc(1) } } }, { 'lid-mapping': { 9: '9' } },
      ]) writes.push(account.keys.set(data))
      writes.push(account.saveCreds({ ...linkedCreds(), nextPreKeyId: 77 }))
      assert.ok(await isPending(Promise.race(writes)))
    } })
    await Promise.all(writes)
    assert.equal(writes.length, 5)
    const { 'creds.json': creds, ...texts } = textsIn(folder)
    assert.notEqual(JSON.parse(creds).nextPreKeyId, 77)
    assert.equal(Object.keys(texts).length, 101)
    for (const text of Object.values(texts)) assert.equal(text, '{"n":1}')
    assert.equal((await recordsOf(account.keys, 'session')).filter(([, { n }]) => n === 2).length, 100)
  })

  test('the account stays as it was, and nothing is written', async t => {
    const path = newPath(t)
    const cask = await open(t, { path })
    const account = cask.account()
    await account.saveCreds(linkedCreds())
    await account.keys.set(ONE_OF_EACH)
    await cask.flush()
    const [before, log] = [await contents(cask), bytesIn(path)]
    await exportMultiFile(account, place(t).folder)
    assert.deepEqual(await contents(cask), before)
    // A mark of the sync may follow by itself; creds would be larger.
    assert.ok(bytesIn(path) - log < 200)
    assert.deepEqual(cask.locks(), [])
  })
})

describe('interrupted', () => {
  const MANY = { ...ONE_OF_EACH, 'pre-key': Object.fromEntries(Array.from({ length: 60 }, (_, i) => [String(i), { public: Buffer.alloc(32, i), private: Buffer.alloc(32, 1) }])) }

  test('by its signal, at any step, or by onProgress: nothing is left', async t => {
    const account = await filled(t, MANY)
    for (const stopAt of [0, 1, 2, 20, 60, 77, 'throws']) {
      const { folder, names } = place(t)
      const controller = new AbortController()
      if (stopAt === 0) controller.abort('why')
      let calls = 0
      const onProgress = () => {
        if (++calls === stopAt) controller.abort('why')
        if (stopAt === 'throws') throw new Error('mine')
      }
      const exporting = exportMultiFile(account, folder, { signal: controller.signal, onProgress })
      await assert.rejects(exporting, stopAt === 'throws' ? /mine/ : { code: 'ERR_CASK_ABORTED', cause: 'why' })
      assert.deepEqual(names(), [], `stopped at ${stopAt}`)
    }
    const { folder } = place(t)
    await exportMultiFile(account, folder)
    assert.equal(Object.keys(textsIn(folder)).length, 78)
  })

  test('by its signal, while it waits for what somebody else has locked: nothing is left, and nothing is locked', async t => {
    for (const lock of [tx => tx.get('session', Object.keys(ONE_OF_EACH.session)), tx => tx.setCreds(linkedCreds())]) {
      const account = await filled(t, ONE_OF_EACH)
      const { folder, names } = place(t)
      const busy = await heldOpen(t, work => account.keys.transaction(async tx => { await work(tx); throw new Error('undone') }), lock)
      const controller = new AbortController()
      const exporting = exportMultiFile(account, folder, { signal: controller.signal })
      assert.ok(await isPending(exporting))
      controller.abort('why')
      await within(10_000, 'the export', assert.rejects(exporting, { code: 'ERR_CASK_ABORTED', cause: 'why' }))
      assert.deepEqual(names(), [])
      await within(10_000, 'a write meanwhile', account.keys.set({ 'pre-key': { 7: null } }))
      busy.leave()
      await assert.rejects(busy.ended, /undone/)
    }
  })

  test('what onProgress throws comes as it is, whatever it is', async t => {
    const account = await filled(t, ONE_OF_EACH)
    const broken = Object.assign(new Error('EPIPE'), { code: 'EPIPE', syscall: 'write', errno: -32 })
    for (const mine of [undefined, null, 1, broken]) {
      const { folder, names } = place(t)
      const got = await exportMultiFile(account, folder, { onProgress: () => { throw mine } }).then(() => 'no error', error => error)
      assert.equal(got, mine)
      assert.deepEqual(names(), [])
    }
  })

  test('while large files are under way: nothing is left', async t => {
    const account = await filled(t, { session: Object.fromEntries(Array.from({ length: 60 }, (_, i) => [String(i), { pad: 'x'.repeat(300_000) }])) })
    for (let round = 0; round < 5; round++) {
      const { folder, names } = place(t)
      await assert.rejects(exportMultiFile(account, folder, { onProgress: () => { throw new Error('mine') } }), /mine/)
      assert.deepEqual(names(), [])
    }
  })

  test('by a kill: there is no folder of that name, what is left says that it is partial, and the next one is whole', { timeout: 60_000 }, async t => {
    const path = newPath(t)
    const account = await filled(t, MANY, linkedCreds(), { path })
    const expected = place(t).folder
    await exportMultiFile(account, expected)
    const cask = await openCask({ path })
    await cask.close()
    for (const stopAt of [1, 30, 77]) {
      const { folder, names } = place(t)
      const copy = newPath(t)
      const child = await startChild(t)
      await assert.rejects(child.run(async ({ importMultiFile, exportMultiFile, openCask }, { copy, source, folder, stopAt }) => {
        const cask = await openCask({ path: copy })
        await importMultiFile(source, cask.account())
        let calls = 0
        await exportMultiFile(cask.account(), folder, { onProgress: () => { if (++calls === stopAt) process.kill(process.pid, 'SIGKILL') } })
      }, { copy, source: expected, folder, stopAt }), /SIGKILL/)
      assert.equal(existsSync(folder), false)
      assert.equal(names().length, 1)
      assert.ok(names()[0].startsWith(`${basename(folder)}.partial-`))
      const again = await open(t, { path: copy })
      await exportMultiFile(again.account(), folder)
      assert.deepEqual(imageOf(folder), imageOf(expected))
    }
  })
})

test('a folder of others beside it is no concern of an export', async t => {
  const account = await filled(t)
  const folder = join(tempFolder(t), 'auth')
  mkdirSync(`${folder}.partial-mine`)
  await exportMultiFile(account, folder)
  assert.deepEqual(readdirSync(dirname(folder)).sort(), ['auth', 'auth.partial-mine'])
})
