import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { BufferJSON, initAuthCreds, proto, useMultiFileAuthState } from 'baileys'
import * as v67 from '@whiskeysockets/baileys'
import { importMultiFile, openCask } from 'baileys-cask'
import { authFolder, kept, linkedCreds, ONE_OF_EACH, put } from './helpers/auth-folders.mjs'
import { contents, open, recordsOf } from './helpers/casks.mjs'
import { imageOf, newPath, tempFolder } from './helpers/folders.mjs'
import { until, within } from './helpers/gate.mjs'
import { heldOpen } from './helpers/held-open.mjs'

const accountOf = async (t, options) => (await open(t, options)).account()
const reasons = ({ failed }) => Object.fromEntries(failed.map(({ file, reason }) => [file, reason]))
const countsOf = records => Object.fromEntries(Object.entries(records).map(([family, values]) => [family, Object.keys(values).length]))
const MARK = 'baileys-cask:import'

describe('what Baileys has written', () => {
  for (const [version, baileys] of Object.entries({ '7.0.0-rc14': { useMultiFileAuthState, proto }, '6.7.24': v67 })) {
    test(`every family of ${version} comes over under the ids that Baileys asks for, with the values that it got`, async t => {
      const creds = linkedCreds()
      const folder = await authFolder(t, {}, creds)
      const { state } = await baileys.useMultiFileAuthState(folder)
      await state.keys.set({
        ...ONE_OF_EACH,
        'app-state-sync-key': { 'AAAA/B++C/8=': baileys.proto.Message.AppStateSyncKeyData.fromObject(ONE_OF_EACH['app-state-sync-key']['AAAA/B++C/8=']) },
      })
      const before = imageOf(folder)
      const account = await accountOf(t, { path: newPath(t), baileys: { initAuthCreds, proto: baileys.proto } })
      const result = await importMultiFile(folder, account)
      assert.deepEqual(result, { complete: true, present: false, creds: true, dryRun: false, records: countsOf(ONE_OF_EACH), failed: [], recovered: [], ignored: [] })
      assert.deepEqual(imageOf(folder), before, 'the folder was changed')
      assert.deepEqual(await account.loadCreds(), kept(creds))
      for (const [family, values] of Object.entries(ONE_OF_EACH)) {
        const ids = Object.keys(values)
        const { [MARK]: none, ...found } = await account.keys.get(family, ids)
        assert.equal(none, undefined)
        const theirs = await state.keys.get(family, ids)
        if (family !== 'app-state-sync-key') assert.deepEqual(found, theirs, family)
        else for (const id of ids) assert.deepEqual(found[id].toJSON(), theirs[id].toJSON())
        assert.deepEqual((await recordsOf(account.keys, family)).map(([id]) => id), ids.sort(), family)
      }
      assert.deepEqual(await recordsOf(account.keys, MARK), [])
    })
  }

  test('a name belongs to the longest family that fits, and to one that is not known up to its first dash', async t => {
    const folder = await authFolder(t, { session: { a: { n: 1 } } })
    for (const name of ['sender-key-memory-memory-1@g.us', 'sender-key-memory', 'app-state-sync-key-version-a__', 'my-own-family-x', 'mine-a__b-c', 'my__own-x']) put(folder, `${name}.json`, '"v"')
    const account = await accountOf(t)
    const { records, ignored } = await importMultiFile(folder, account, { families: ['my-own-family', 'my/own'] })
    assert.deepEqual(ignored, [])
    const found = await contents({ accounts: async () => ['default'], account: () => account }, ['my-own-family', 'mine', 'my/own'])
    assert.deepEqual(found.default.records, {
      session: [['a', { n: 1 }]], 'sender-key': [['memory', 'v']], 'sender-key-memory': [['memory-1@g.us', 'v']], 'app-state-sync-key': [['version-a/', {}]].map(([id]) => [id, found.default.records['app-state-sync-key'][0][1]]),
      'my-own-family': [['x', 'v']], mine: [['a__b-c', 'v']], 'my/own': [['x', 'v']],
    })
    assert.deepEqual(records, { session: 1, 'sender-key': 1, 'sender-key-memory': 1, 'app-state-sync-key': 1, 'my-own-family': 1, mine: 1, 'my/own': 1 })
    const other = await accountOf(t)
    await importMultiFile(folder, other)
    assert.deepEqual(await recordsOf(other.keys, 'my'), [['own-family-x', 'v']])
    assert.deepEqual(await recordsOf(other.keys, 'my__own'), [['x', 'v']])
  })

  test('bytes in every form that JSON has for them, and objects that only look like it', async t => {
    const folder = await authFolder(t)
    const values = {
      text: '{"type":"Buffer","data":"AQID"}', list: '{"type":"Buffer","data":[1,2,3]}', index: '{"0":1,"1":2,"2":3}', inside: '{"a":[{"b":{"type":"Buffer","data":"AQID"}}]}',
      escaped: '{"type":"\\u0042uffer","data":"AQID"}', spaced: '{ "0" : 1 , "1" : 2, "2":3 }', phones: '{"15550100001":3}', holes: '{"0":1,"2":3}', large: '{"0":256}', named: '{"0":1,"a":2}',
      'no data': '{"type":"Buffer","size":3}', proto: '{"__proto__":{"type":"Buffer","data":"AQID"},"constructor":"c"}', falsy: '""', zero: '0', no: 'false', unicode: '"\u{1f511}\u00e9"', negative: '{"n":-0}',
    }
    for (const [id, text] of Object.entries(values)) put(folder, `mine-${id}.json`, text)
    const account = await accountOf(t)
    const { complete, failed } = await importMultiFile(folder, account)
    assert.deepEqual([complete, failed], [true, []])
    const bytes = Buffer.from([1, 2, 3])
    const found = await account.keys.get('mine', Object.keys(values))
    assert.deepEqual(found, {
      text: bytes, list: bytes, index: bytes, inside: { a: [{ b: bytes }] }, escaped: bytes, spaced: bytes, phones: { 15550100001: 3 }, holes: { 0: 1, 2: 3 }, large: { 0: 256 }, named: { 0: 1, a: 2 },
      'no data': { type: 'Buffer', size: 3 }, proto: Object.defineProperty({ constructor: 'c' }, '__proto__', { value: bytes, enumerable: true, configurable: true, writable: true }),
      falsy: '', zero: 0, no: false, unicode: '\u{1f511}\u00e9', negative: { n: 0 },
    })
  })
})

describe('what newer Baileys leaves beside its files', () => {
  test('a backup counts where the file is missing or not whole; a write that was not finished never does', async t => {
    const folder = await authFolder(t, { session: { whole: { n: 2 }, torn: { n: 2 }, empty: { n: 2 } } })
    put(folder, 'session-whole.json.bak', '{"n":1}')
    put(folder, 'session-whole.json.tmp', '{"n":3}')
    put(folder, 'session-torn.json', '{"n":')
    put(folder, 'session-torn.json.bak', '{"n":1}')
    put(folder, 'session-empty.json', '')
    put(folder, 'session-empty.json.bak', '{"n":1}')
    put(folder, 'session-gone.json.bak', '{"n":1}')
    put(folder, 'session-gone.json.tmp', '{"n":2}')
    put(folder, 'session-never.json.tmp', '{"n":1}')
    renameSync(join(folder, 'creds.json'), join(folder, 'creds.json.bak'))
    const before = imageOf(folder)
    const account = await accountOf(t)
    const result = await importMultiFile(folder, account)
    assert.equal(result.complete, true)
    assert.deepEqual(result.recovered.sort(), ['creds.json', 'session-empty.json', 'session-gone.json', 'session-torn.json'])
    assert.deepEqual(result.ignored, ['session-gone.json.tmp', 'session-never.json.tmp', 'session-whole.json.tmp'])
    assert.deepEqual(await recordsOf(account.keys, 'session'), [['empty', { n: 1 }], ['gone', { n: 1 }], ['torn', { n: 1 }], ['whole', { n: 2 }]])
    assert.equal((await account.loadCreds()).me.name, 'Ada')
    assert.deepEqual(imageOf(folder), before)
  })

  test('a backup that is no better is a failure that says so', async t => {
    const folder = await authFolder(t)
    put(folder, 'session-a.json', '')
    put(folder, 'session-a.json.bak', '{')
    put(folder, 'session-b.json.bak', '')
    const account = await accountOf(t)
    const { failed, complete } = await importMultiFile(folder, account)
    assert.equal(complete, false)
    assert.deepEqual(failed.sort((a, b) => (a.id < b.id ? -1 : 1)), [
      { file: 'session-a.json', type: 'session', id: 'a', reason: 'empty', message: 'it has no bytes; its .bak: it is not whole: no JSON' },
      { file: 'session-b.json', type: 'session', id: 'b', reason: 'empty', message: 'its .bak is left, and it has no bytes' },
    ])
  })

  test('creds of which there is only an unfinished write are missing, and the result says where to look', async t => {
    const folder = await authFolder(t)
    rmSync(join(folder, 'creds.json'))
    put(folder, 'creds.json.tmp', JSON.stringify(linkedCreds(), BufferJSON.replacer))
    const account = await accountOf(t)
    const { complete, failed } = await importMultiFile(folder, account)
    assert.deepEqual([complete, failed], [false, [{ file: 'creds.json', reason: 'missing', message: 'there is none; creds.json.tmp is what Baileys was about to write' }]])
  })
})

describe('what cannot be imported', () => {
  const BAD = {
    'session-empty.json': ['', 'empty'], 'session-null.json': ['null', 'empty'], 'session-torn.json': ['{"_sessions":{"a":', 'torn'], 'session-zeros.json': ['\0\0\0\0', 'torn'],
    'session-tail.json': ['{}{}', 'torn'], 'session-latin.json': [Buffer.from([0x22, 0xe9, 0x22]), 'torn'], 'session-surrogate.json': ['"\\ud800"', 'refused'], 'session-.json': ['{}', 'refused'],
    'app-state-sync-key-a.json': ['{"keyData":"no base64!"}', 'refused'], 'mine-deep.json': [`${'['.repeat(150)}${']'.repeat(150)}`, 'refused'], 'mine-deeper.json': [`${'['.repeat(5000)}${']'.repeat(5000)}`, 'refused'],
  }

  test('is listed by file and reason, and its account is not whole until it is repaired or left out', async t => {
    const folder = await authFolder(t, ONE_OF_EACH)
    for (const [name, [text]] of Object.entries(BAD)) put(folder, name, text)
    const path = newPath(t)
    const cask = await open(t, { path })
    const account = cask.account()
    const dry = await importMultiFile(folder, account, { dryRun: true })
    assert.deepEqual(await cask.accounts(), [], 'a dry run wrote something')
    const result = await importMultiFile(folder, account)
    const expected = Object.fromEntries(Object.entries(BAD).map(([name, [, reason]]) => [name, reason]))
    assert.deepEqual(reasons(result), expected)
    assert.deepEqual(reasons(dry), expected)
    assert.deepEqual([result.complete, result.creds, dry.complete, dry.dryRun, dry.records], [false, false, false, true, result.records])
    for (const { message } of result.failed) assert.doesNotMatch(message, /_sessions|base64!/)
    assert.equal(await account.loadCreds(), undefined)
    assert.deepEqual(result.records, countsOf(ONE_OF_EACH))

    const skipped = await importMultiFile(folder, account, { skipFailed: true })
    assert.deepEqual(reasons(skipped), expected)
    assert.deepEqual([skipped.complete, skipped.creds, skipped.records], [true, true, result.records])
    assert.ok(await account.loadCreds())

    const repaired = cask.account('repaired')
    await importMultiFile(folder, repaired)
    for (const name of Object.keys(BAD)) unlinkSync(join(folder, name))
    const again = await importMultiFile(folder, repaired)
    assert.deepEqual([again.complete, again.failed], [true, []])
  })

  test('creds of no bytes, torn, of another kind or missing: nothing is written, never are they left out, and all else is told', async t => {
    const CASES = { '': 'empty', '{"noiseKey":': 'torn', '{}': 'refused', '[]': 'refused', '"creds"': 'refused', 5: 'refused', '{"noiseKey":{"private":"a"},"signedIdentityKey":{"private":"\\ud800"}}': 'refused', missing: 'missing' }
    for (const [text, reason] of Object.entries(CASES)) {
      const folder = await authFolder(t, { session: { a: { n: 1 } } })
      put(folder, 'session-b.json', '')
      if (text === 'missing') unlinkSync(join(folder, 'creds.json'))
      else put(folder, 'creds.json', text)
      const cask = await open(t)
      for (const options of [{}, { skipFailed: true }, { dryRun: true }]) {
        const result = await importMultiFile(folder, cask.account(), options)
        assert.deepEqual(reasons(result), { 'creds.json': reason, 'session-b.json': 'empty' }, text)
        assert.deepEqual([result.complete, result.creds], [false, false])
        assert.deepEqual(await cask.accounts(), [])
      }
    }
  })

  test('a file that the system refuses, a folder in the place of a file, and a pipe do not stop it', async t => {
    const folder = await authFolder(t, { session: { a: { n: 1 } } })
    mkdirSync(join(folder, 'session-folder.json'))
    mkdirSync(join(folder, 'target'))
    symlinkSync(join(folder, 'target'), join(folder, 'session-link.json'))
    symlinkSync(join(folder, 'nowhere'), join(folder, 'session-nowhere.json'))
    symlinkSync(join(folder, 'session-a.json'), join(folder, 'session-b.json'))
    const pipe = spawnSync('mkfifo', [join(folder, 'pipe')])
    if (pipe.status === 0) symlinkSync(join(folder, 'pipe'), join(folder, 'session-pipe.json'))
    put(folder, 'session-secret.json', '{}')
    chmodSync(join(folder, 'session-secret.json'), 0)
    const account = await accountOf(t)
    const result = await within(10_000, 'the import', importMultiFile(folder, account))
    const secret = process.getuid?.() === 0 ? {} : { 'session-secret.json': 'unreadable' }
    const piped = pipe.status === 0 ? { 'session-pipe.json': 'unreadable' } : {}
    assert.deepEqual(reasons(result), { 'session-link.json': 'unreadable', 'session-nowhere.json': 'vanished', ...piped, ...secret })
    assert.deepEqual(result.ignored, ['pipe', 'session-folder.json', 'target'].filter(name => name !== 'pipe' || pipe.status === 0))
    assert.deepEqual(await account.keys.get('session', ['b']), { b: { n: 1 } })
  })

  test('files of others are told and left', async t => {
    const folder = await authFolder(t, { session: { a: 1 } })
    for (const name of ['baileys_store.json', '.DS_Store', 'session-a.json.backup', '-x.json', 'sender-key-a::b::0.json', 'notes.txt']) put(folder, name, 'whatever')
    const { complete, ignored } = await importMultiFile(folder, await accountOf(t))
    assert.deepEqual([complete, ignored], [true, ['-x.json', '.DS_Store', 'baileys_store.json', 'notes.txt', 'sender-key-a::b::0.json', 'session-a.json.backup']])
  })
})

describe('a folder that is in use', () => {
  /** Does something to the folder when the first batch is through. */
  const meanwhile = work => {
    let isDone = false
    return { onProgress: () => { if (!isDone) work(); isDone = true } }
  }
  const MANY = 1100

  test('what vanishes, changes or appears meanwhile is told, and the account is not whole', async t => {
    const folder = await authFolder(t, { session: { a: { n: 1 }, b: { n: 1 } } }, undefined, MANY)
    const account = await accountOf(t)
    const names = readdirSync(folder).filter(name => name.startsWith('pre-key-'))
    const result = await importMultiFile(folder, account, meanwhile(() => {
      for (const name of names) unlinkSync(join(folder, name))
      put(folder, 'session-c.json', '{"n":1}')
      put(folder, 'creds.json', JSON.stringify(linkedCreds(), BufferJSON.replacer))
    }))
    assert.equal(result.complete, false)
    assert.equal(await account.loadCreds(), undefined)
    const told = reasons(result)
    assert.deepEqual([told['session-a.json'], told['session-c.json'], told['creds.json']], [undefined, 'changed', 'changed'])
    for (const name of names) assert.match(told[name], /^(vanished|changed)$/)
    assert.ok(names.some(name => told[name] === 'vanished'))
    assert.match(result.failed.find(({ file }) => file === 'session-c.json').message, /appeared/)
    assert.match(result.failed.find(({ file }) => file === 'creds.json').message, /has changed .*stop what uses the folder/)

    const again = await importMultiFile(folder, account)
    assert.deepEqual([again.complete, again.records], [true, { session: 3 }])
    assert.deepEqual(await recordsOf(account.keys, 'session'), [['a', { n: 1 }], ['b', { n: 1 }], ['c', { n: 1 }]])
    assert.deepEqual(await recordsOf(account.keys, 'pre-key'), [], 'what was deleted in between came back')
  })

  test('a value of the same length that is written again is seen; what has changed is never left out', async t => {
    const folder = await authFolder(t, { session: { a: { n: 1 } } })
    const account = await accountOf(t)
    const later = new Date(Date.now() + 10_000)
    const result = await importMultiFile(folder, account, { skipFailed: true, ...meanwhile(() => {
      put(folder, 'session-a.json', '{"n":2}')
      utimesSync(join(folder, 'session-a.json'), later, later)
    }) })
    assert.deepEqual([result.complete, reasons(result)], [false, { 'session-a.json': 'changed' }])
  })

  test('the moment in which newer Baileys replaces a file is waited out', async t => {
    const folder = await authFolder(t, {}, undefined, MANY)
    const names = readdirSync(folder).filter(name => name.startsWith('pre-key-')).sort()
    const account = await accountOf(t)
    // As it is between the two renames; the first batches were read before.
    const result = await importMultiFile(folder, account, meanwhile(() => {
      for (const name of names) renameSync(join(folder, name), join(folder, `${name}.bak`))
    }))
    const told = reasons(result)
    assert.ok(result.recovered.length > 0)
    assert.deepEqual(Object.keys(told).concat(result.recovered).sort(), names)
    assert.ok(Object.values(told).every(reason => reason === 'changed'), 'a value was lost that was there all the time')
    assert.deepEqual(result.records, { 'pre-key': names.length })
  })

  test('a file that comes back behind its backup is newer, and has changed', async t => {
    const folder = await authFolder(t, { session: { a: { n: 1 } } })
    for (const [torn, text] of [[false, '{"n":2}'], [true, '{"n":2}']]) {
      put(folder, 'session-a.json.bak', '{"n":1}')
      if (torn) put(folder, 'session-a.json', '')
      else unlinkSync(join(folder, 'session-a.json'))
      const account = await accountOf(t)
      const result = await importMultiFile(folder, account, meanwhile(() => put(folder, 'session-a.json', text)))
      assert.deepEqual([result.complete, result.recovered, reasons(result)], [false, ['session-a.json'], { 'session-a.json': 'changed' }])
    }
  })
})

describe('which accounts take an import', () => {
  test('one that has other creds is refused with the way out, whatever the options; one that has these is left as it is', async t => {
    const folder = await authFolder(t, { session: { a: { n: 1 } } })
    const cask = await open(t)
    const account = cask.account('shop')
    await importMultiFile(folder, account)
    await account.keys.set({ session: { a: { n: 2 }, b: { n: 1 } } })
    const creds = await account.loadCreds()
    await account.saveCreds({ ...creds, nextPreKeyId: 99 })
    const before = await contents(cask)
    for (const options of [{}, { skipFailed: true }, { dryRun: true }]) {
      const result = await importMultiFile(folder, account, options)
      assert.deepEqual([result.complete, result.present, result.creds, result.records], [true, true, false, {}])
      assert.deepEqual(await contents(cask), before, 'a ratchet was turned back')
    }
    const other = await authFolder(t, { session: { a: { n: 3 } } })
    for (const options of [{}, { skipFailed: true }, { dryRun: true }]) {
      await assert.rejects(importMultiFile(other, account, options), { name: 'CaskError', code: 'ERR_CASK_INVALID_ARGUMENT', argument: 'account', account: 'shop', message: /await account\.drop\(\), then import into cask\.account\('shop'\)/ })
      assert.deepEqual(await contents(cask), before)
    }
    await account.drop()
    const again = cask.account('shop')
    assert.equal((await importMultiFile(other, again)).complete, true)
    assert.deepEqual(await recordsOf(again.keys, 'session'), [['a', { n: 3 }]])
  })

  test('one that has records but no creds is refused, and stays', async t => {
    const folder = await authFolder(t)
    const cask = await open(t)
    const account = cask.account()
    await account.keys.set({ session: { a: 1 } })
    await assert.rejects(importMultiFile(folder, account), { code: 'ERR_CASK_CREDS_MISSING', account: 'default', message: /account\.drop\(\)/ })
    assert.deepEqual(await recordsOf(account.keys, 'session'), [['a', 1]])
  })

  test('what somebody is about to write when it begins is not lost', async t => {
    const folder = await authFolder(t, { session: { a: { n: 1 } } })
    const cask = await open(t)
    const account = cask.account()
    const busy = await heldOpen(t, work => account.keys.transaction(work, 'label'), tx => tx.set({ session: { mine: 1 } }))
    const importing = importMultiFile(folder, account)
    importing.catch(() => {})
    await until('the import waits for it', () => cask.locks().some(({ waiters }) => waiters.length > 0))
    busy.leave()
    await busy.ended
    await assert.rejects(importing, { code: 'ERR_CASK_CREDS_MISSING', account: 'default' })
    assert.deepEqual(await recordsOf(account.keys, 'session'), [['mine', 1]])
    assert.equal(await account.loadCreds(), undefined)
  })

  test('inside a transaction of the account it is refused; inside one of another it goes its own way', async t => {
    const folder = await authFolder(t, { session: { a: { n: 1 } } })
    const cask = await open(t)
    const account = cask.account()
    await assert.rejects(account.keys.transaction(() => importMultiFile(folder, account)), { code: 'ERR_CASK_INVALID_ARGUMENT', message: /inside a transaction of account default/ })
    await assert.rejects(cask.account('other').keys.transaction(async () => {
      assert.equal((await importMultiFile(folder, account)).complete, true)
      throw new Error('rolled back')
    }), /rolled back/)
    assert.deepEqual(await recordsOf(account.keys, 'session'), [['a', { n: 1 }]])
  })

  test('somebody who writes to the account meanwhile, or saves creds, is noticed before it is whole', async t => {
    const folder = await authFolder(t, { session: { a: { n: 1 } } })
    const cask = await open(t)
    for (const [name, meddle, expected] of [
      ['writes', account => account.keys.set({ 'device-list': { x: ['0'] } }), /somebody else has changed records/],
      ['deletes', account => account.keys.set({ session: { a: null } }), /somebody else has changed records/],
      ['clears', account => account.keys.clear(), /somebody else has changed records/],
      ['saves', account => account.saveCreds({ mine: true }), /has creds already/],
    ]) {
      const account = cask.account(name)
      let meddled
      await assert.rejects(importMultiFile(folder, account, { onProgress: () => (meddled = meddle(account)) }), { code: 'ERR_CASK_INVALID_ARGUMENT', account: name, message: expected })
      await meddled
      assert.deepEqual(await account.loadCreds(), name === 'saves' ? { mine: true } : undefined)
    }
    const dropped = cask.account('dropped')
    let drop
    await assert.rejects(importMultiFile(folder, dropped, { onProgress: () => (drop = dropped.drop()) }), { code: 'ERR_CASK_DROPPED' })
    await drop
    assert.ok(!(await cask.accounts()).includes('dropped'))
  })

  test('two at once: one imports, the other finds it there', async t => {
    const folder = await authFolder(t, ONE_OF_EACH)
    const account = await accountOf(t)
    const results = await Promise.all([importMultiFile(folder, account), importMultiFile(folder, account)])
    assert.deepEqual(results.map(({ complete, present }) => [complete, present]), [[true, false], [true, true]])
    const other = await authFolder(t, { session: { x: 1 } })
    const cask = await open(t)
    const outcomes = await Promise.allSettled([importMultiFile(folder, cask.account()), importMultiFile(other, cask.account())])
    assert.deepEqual(outcomes.map(({ status }) => status), ['fulfilled', 'rejected'])
    assert.deepEqual(await recordsOf(cask.account().keys, 'session'), await recordsOf(account.keys, 'session'))
  })

  test('a value that comes back otherwise than it was imported stops it, and the account stays without creds', async t => {
    const folder = await authFolder(t, { 'app-state-sync-key': { a: proto.Message.AppStateSyncKeyData.fromObject({ keyData: Buffer.alloc(32, 1) }) } })
    const cask = await open(t, { path: newPath(t), baileys: { initAuthCreds, proto: { Message: { AppStateSyncKeyData: { fromObject: value => ({ ...value, keyData: Buffer.alloc(32, 2) }) } } } } })
    await assert.rejects(importMultiFile(folder, cask.account()), { code: 'ERR_CASK_INTERNAL', message: /record a of app-state-sync-key comes back otherwise/ })
    assert.equal(await cask.account().loadCreds(), undefined)
  })
})

describe('wrong arguments', () => {
  test('a folder that is none of Baileys is refused, and says what is the matter', async t => {
    const cask = await open(t)
    const account = cask.account()
    const file = newPath(t, 'file')
    writeFileSync(file, '')
    const other = tempFolder(t)
    for (const name of ['package-lock.json', 'foo-bar.json', 'README.md']) writeFileSync(join(other, name), '{}')
    const path = newPath(t)
    const otherCask = await openCask({ path })
    await otherCask.account().keys.set({ session: { a: 1 } })
    await otherCask.close()
    const nothing = newPath(t, 'nothing')
    for (const [folder, message] of [[nothing, /does not exist/], [file, /it is a file/], [tempFolder(t), /neither creds\.json nor a record/], [other, /neither creds\.json nor a record/], [path, /neither creds\.json nor a record/]]) {
      await assert.rejects(importMultiFile(folder, account), { name: 'CaskError', code: 'ERR_CASK_INVALID_ARGUMENT', argument: 'folder', path: folder, message })
    }
    assert.deepEqual(await cask.accounts(), [])
    if (process.getuid?.() !== 0) {
      const closed = await authFolder(t)
      chmodSync(closed, 0)
      await assert.rejects(importMultiFile(closed, account), { code: 'ERR_CASK_IO', path: closed, syscall: 'scandir' }).finally(() => chmodSync(closed, 0o700))
    }
  })

  test('are a TypeError that names the argument', async t => {
    const folder = await authFolder(t)
    const account = await accountOf(t)
    const CASES = [
      [[1, account], 'folder'], [['', account], 'folder'], [['a\0b', account], 'folder'], [[folder], 'account'], [[folder, account.keys], 'account'], [[folder, { ...account }], 'account'],
      [[folder, account, null], 'options'], [[folder, account, []], 'options'], [[folder, account, { dry: true }], 'options'], [[folder, account, { replace: true }], 'options'], [[folder, account, { dryRun: 1 }], 'dryRun'], [[folder, account, { skipFailed: 'all' }], 'skipFailed'],
      [[folder, account, { onProgress: true }], 'onProgress'], [[folder, account, { signal: {} }], 'signal'], [[folder, account, { families: 'mine' }], 'families'], [[folder, account, { families: [''] }], 'families'],
    ]
    for (const [call, argument] of CASES) {
      await assert.rejects(importMultiFile(...call), { name: 'TypeError', code: 'ERR_CASK_INVALID_ARGUMENT', argument }, argument)
    }
    assert.equal((await importMultiFile(folder, account, { dryRun: undefined, signal: undefined })).complete, true)
  })
})
