import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { initAuthCreds, useMultiFileAuthState } from 'baileys'
import { importKeys, importMultiFile, openCask, useCaskAuthState } from 'baileys-cask'
import { authFolder, linkedCreds, ONE_OF_EACH, put } from './helpers/auth-folders.mjs'
import { contents, open, recordsOf } from './helpers/casks.mjs'
import { imageOf, newPath } from './helpers/folders.mjs'
import { until, within } from './helpers/gate.mjs'
import { heldOpen } from './helpers/held-open.mjs'
import { startChild, startWorker } from './helpers/remote.mjs'

const MANY = 700
const baileys = { initAuthCreds }

/** What the import of a folder should leave, from one that nobody has interrupted. */
async function whole(t, folder) {
  const cask = await open(t)
  assert.equal((await importMultiFile(folder, cask.account())).complete, true)
  return contents(cask, ['baileys-cask:import'])
}

/** Half-way an account has no creds, is taken neither for whole nor for new, and says what has happened. */
async function assertHalf(cask, folder, account = cask.account()) {
  assert.equal(await account.loadCreds(), undefined)
  await assert.rejects(useCaskAuthState(cask, { baileys }), { code: 'ERR_CASK_CREDS_MISSING', account: 'default', message: new RegExp(`an import into account default has not ended, from ${folder}; run it again`) })
  assert.equal(await account.loadCreds(), undefined)
}

describe('a signal', () => {
  test('ends an import at every step; running it again completes it', async t => {
    const folder = await authFolder(t, ONE_OF_EACH, undefined, MANY)
    const expected = await whole(t, folder)
    const before = imageOf(folder)
    let calls
    for (let stopAt = 1; ; stopAt++) {
      const cask = await open(t, { path: newPath(t) })
      const controller = new AbortController()
      const reason = new Error('Ctrl-C')
      calls = 0
      const importing = importMultiFile(folder, cask.account(), { signal: controller.signal, onProgress: () => { if (++calls === stopAt) controller.abort(reason) } })
      if (calls < stopAt && (await importing.then(() => true, () => false))) break
      await assert.rejects(importing, { name: 'CaskError', code: 'ERR_CASK_ABORTED', retryable: false, cause: reason, message: /run it again/ })
      await assertHalf(cask, folder)
      assert.equal((await importMultiFile(folder, cask.account())).complete, true)
      assert.deepEqual(await contents(cask, ['baileys-cask:import']), expected)
    }
    assert.ok(calls > 10, 'there were few steps to stop at')
    assert.deepEqual(imageOf(folder), before)
  })

  test('that is aborted before: nothing is read or written', async t => {
    const folder = await authFolder(t)
    const cask = await open(t)
    const onProgress = () => assert.fail('it has begun')
    for (const dryRun of [false, true]) {
      await assert.rejects(importMultiFile(folder, cask.account(), { signal: AbortSignal.abort('why'), dryRun, onProgress }), { code: 'ERR_CASK_ABORTED', cause: 'why' })
    }
    assert.deepEqual(await cask.accounts(), [])
  })

  test('ends the wait for another import of the account', async t => {
    const folder = await authFolder(t)
    const cask = await open(t)
    const account = cask.account()
    await importMultiFile(folder, account)
    const busy = await heldOpen(t, work => account.keys.transaction(work, 'baileys-cask: import'))
    const controller = new AbortController()
    const waiting = importMultiFile(folder, account, { signal: controller.signal })
    controller.abort('why')
    await within(10_000, 'the end of the wait', assert.rejects(waiting, { code: 'ERR_CASK_ABORTED', cause: 'why' }))
    busy.leave()
    await busy.ended
    assert.equal((await importMultiFile(folder, account)).present, true)
  })

  test('ends the wait for what somebody else has locked', async t => {
    const folder = await authFolder(t, ONE_OF_EACH)
    const HELD = {
      record: [tx => tx.get('pre-key', ['7']), 'label'],
      creds: [tx => tx.setCreds({ a: 1 }), 'label'],
      label: [undefined, 'baileys-cask: first creds'],
    }
    for (const [what, [locks, label]] of Object.entries(HELD)) {
      const cask = await open(t)
      const account = cask.account()
      const busy = await heldOpen(t, work => account.keys.transaction(async tx => { await work(tx); throw new Error('undone') }, label), locks)
      const controller = new AbortController()
      const waiting = importMultiFile(folder, account, { signal: controller.signal })
      await until('it waits', () => cask.locks().some(({ waiters }) => waiters.length > 0))
      controller.abort('why')
      await within(10_000, `the end of the wait for a ${what}`, assert.rejects(waiting, { code: 'ERR_CASK_ABORTED', cause: 'why', message: /run it again/ }))
      busy.leave()
      await assert.rejects(busy.ended, /undone/)
      assert.equal((await importMultiFile(folder, account)).complete, true)
    }
  })

  test('what onProgress throws ends it, too', async t => {
    const folder = await authFolder(t, ONE_OF_EACH)
    const cask = await open(t)
    const mine = new Error('mine')
    await assert.rejects(importMultiFile(folder, cask.account(), { onProgress: () => { throw mine } }), error => error === mine)
    await assertHalf(cask, folder)
    await cask.account().saveCreds(linkedCreds())
    await assert.rejects(useCaskAuthState(cask), { code: 'ERR_CASK_CREDS_MISSING', message: /has not ended/ }, 'creds make it no more whole')
    await assert.rejects(importMultiFile(folder, cask.account()), { code: 'ERR_CASK_INVALID_ARGUMENT', message: /has creds although an import into it has not ended.*drop/ })
  })
})

test('limits of the handle are no limits of an import: it takes as long as its source', async t => {
  const cask = await open(t, { transactionTimeoutMs: 40 })
  const busy = await heldOpen(t, work => cask.account('other').keys.transaction(work, 'label'), tx => tx.set({ session: { a: 1 } }))
  const source = {
    async *list(family) {
      if (family !== 'session') return
      yield ['a', { n: 1 }]
      // One that began before it loses its locks for making no call.
      await within(10_000, 'its end', assert.rejects(busy.ended, { code: 'ERR_CASK_TRANSACTION_TIMEOUT' }))
      const next = await heldOpen(t, work => cask.account('other').keys.transaction(work, 'label'), tx => tx.set({ session: { a: 1 } }))
      await within(10_000, 'the end of the next', assert.rejects(next.ended, { code: 'ERR_CASK_TRANSACTION_TIMEOUT' }))
      yield ['b', { n: 1 }]
    },
  }
  const { complete, records } = await importKeys(source, cask.account(), { creds: linkedCreds() })
  assert.deepEqual([complete, records], [true, { session: 2 }])
})

test('close() ends an import, and running it again completes it', async t => {
  const folder = await authFolder(t, ONE_OF_EACH)
  const path = newPath(t)
  const cask = await openCask({ path })
  let closing
  await assert.rejects(importMultiFile(folder, cask.account(), { onProgress: () => (closing ??= cask.close()) }), { code: 'ERR_CASK_CLOSED' })
  await within(10_000, 'the end of the cask', closing)
  const again = await open(t, { path })
  await assertHalf(again, folder)
  assert.equal((await importMultiFile(folder, again.account())).complete, true)
  assert.deepEqual(await contents(again, ['baileys-cask:import']), await whole(t, folder))
})

describe('progress', () => {
  test('goes up to the number of records', async t => {
    const folder = await authFolder(t, { session: { a: { n: 1 } } }, undefined, MANY)
    for (const dryRun of [false, true]) {
      const seen = []
      await importMultiFile(folder, (await open(t)).account(), { dryRun, onProgress: progress => seen.push(progress) })
      assert.ok(seen.length > 2)
      assert.ok(seen.every(({ done, total }, i) => total === 701 && done > (seen[i - 1]?.done ?? 0)))
      assert.deepEqual(seen.at(-1), { done: 701, total: 701 })
    }
  })
})

describe('a source that goes on in between', () => {
  test('running it again takes what is there now, and nothing of what was', async t => {
    const folder = await authFolder(t, { session: { turned: { n: 1 }, closed: { n: 1 } } }, undefined, MANY)
    const cask = await open(t, { path: newPath(t) })
    const account = cask.account()
    await assert.rejects(importMultiFile(folder, account, { onProgress: ({ done, total }) => { if (done === total) throw new Error('stop') } }), /stop/)
    assert.deepEqual((await recordsOf(account.keys, 'session')).map(([id]) => id), ['closed', 'turned'])
    const { state } = await useMultiFileAuthState(folder)
    await state.keys.set({ session: { turned: { n: 2 }, closed: null }, 'pre-key': { 1007: null } })
    const { records } = await importMultiFile(folder, account)
    assert.deepEqual(records, { session: 1, 'pre-key': 699 })
    assert.deepEqual(await contents(cask, ['baileys-cask:import']), await whole(t, folder))
  })

  test('another folder may be taken instead', async t => {
    const folder = await authFolder(t, { session: { a: { n: 1 } } })
    const other = await authFolder(t, { session: { b: { n: 2 } } })
    const cask = await open(t)
    await assert.rejects(importMultiFile(folder, cask.account(), { onProgress: () => { throw new Error('stop') } }), /stop/)
    await importMultiFile(other, cask.account())
    assert.deepEqual(await contents(cask, ['baileys-cask:import']), await whole(t, other))
  })
})

describe('a process that is killed', () => {
  for (const durability of ['process', 'power']) test(`in the middle (${durability}): the account is whole or cannot be used, and running it again completes it`, { timeout: 120_000 }, async t => {
    const folder = await authFolder(t, ONE_OF_EACH, undefined, MANY)
    const expected = await whole(t, folder)
    const before = imageOf(folder)
    let halves = 0
    // The last steps come after all progress: the second look at the folder, the commit of the creds.
    for (const stopAt of [1, 3, 6, 10, 'end', 'creds']) {
      const path = newPath(t)
      const child = await startChild(t)
      const importing = child.run(async ({ importMultiFile, openCask }, { path, folder, durability, stopAt }) => {
        const cask = await openCask({ path, durability })
        let calls = 0
        const onProgress = ({ done, total }) => {
          if (++calls === stopAt || (stopAt === 'end' && done === total)) process.kill(process.pid, 'SIGKILL')
        }
        await importMultiFile(folder, cask.account(), { onProgress })
        if (stopAt === 'creds') process.kill(process.pid, 'SIGKILL')
      }, { path, folder, durability, stopAt })
      await assert.rejects(importing, /SIGKILL/)
      const cask = await openCask({ path, durability })
      if (stopAt === 'creds') {
        assert.deepEqual(await contents(cask, ['baileys-cask:import']), expected, 'it was whole')
      } else {
        halves++
        await assertHalf(cask, folder)
        const { state, close } = await useCaskAuthState(cask, { baileys, importFrom: folder })
        assert.deepEqual(state.creds, expected.default.creds)
        await close()
        assert.deepEqual(await contents(cask, ['baileys-cask:import']), expected)
      }
      await cask.close()
    }
    assert.equal(halves, 5)
    assert.deepEqual(imageOf(folder), before)
  })

  test('at any time', { timeout: 120_000 }, async t => {
    const folder = await authFolder(t, ONE_OF_EACH, undefined, MANY)
    const expected = await whole(t, folder)
    const outcomes = new Set()
    const path = newPath(t)
    for (let round = 0; round < 12; round++) {
      const child = await startChild(t)
      const importing = child.run(async ({ importMultiFile, openCask, say }, { path, folder }) => {
        const cask = await openCask({ path })
        await cask.account().drop()
        say('go')
        await importMultiFile(folder, cask.account())
        say('done')
        await new Promise(() => {})
      }, { path, folder })
      importing.catch(() => {})
      await child.heard('go')
      // From the first write to well behind the last one.
      await new Promise(resolve => setTimeout(resolve, round * 25))
      await child.kill()
      const cask = await openCask({ path })
      const found = await contents(cask, ['baileys-cask:import'])
      const isWhole = found.default?.creds !== undefined
      outcomes.add(isWhole)
      if (isWhole) assert.deepEqual(found, expected)
      else assert.equal((await importMultiFile(folder, cask.account())).present, false)
      assert.deepEqual(await contents(cask, ['baileys-cask:import']), expected)
      await cask.close()
    }
    assert.ok(outcomes.has(false), 'no kill came in the middle')
  })
})

describe('useCaskAuthState with importFrom', () => {
  test('imports while the account is empty, and does not look at the folder again', async t => {
    const folder = await authFolder(t, { session: { a: { n: 1 } } })
    const path = newPath(t)
    const first = await useCaskAuthState(path, { importFrom: folder })
    assert.equal(first.state.creds.me.name, 'Ada')
    assert.deepEqual(await first.state.keys.get('session', ['a']), { a: { n: 1 } })
    assert.equal(await useCaskAuthState(path, { importFrom: folder }), first)
    await first.state.keys.set({ session: { a: { n: 2 } } })
    first.state.creds.nextPreKeyId = 50
    await first.saveCreds()
    await first.close()
    for (const gone of [false, true]) {
      if (gone) rmSync(folder, { recursive: true })
      const { state, close } = await useCaskAuthState(path, { importFrom: folder })
      assert.deepEqual(await state.keys.get('session', ['a']), { a: { n: 2 } }, 'a ratchet was turned back')
      assert.equal(state.creds.nextPreKeyId, 50)
      await close()
    }
  })

  test('on an open cask, by account', async t => {
    const folder = await authFolder(t, { session: { a: { n: 1 } } })
    const cask = await open(t)
    const { state } = await useCaskAuthState(cask, { account: 'shop', importFrom: folder })
    assert.equal(state.creds.me.name, 'Ada')
    assert.deepEqual(await cask.accounts(), ['shop'])
  })

  test('what cannot be imported as a whole is an error that names it, and never a new identity', async t => {
    const damaged = await authFolder(t, { session: { a: { n: 1 } } })
    for (let n = 0; n < 8; n++) put(damaged, `session-b${n}.json`, '')
    const noCreds = await authFolder(t, { session: { a: { n: 1 } } })
    put(noCreds, 'creds.json', '')
    const cask = await open(t, { path: newPath(t) })
    for (const [account, importFrom, expected] of [
      ['damaged', damaged, { code: 'ERR_CASK_CORRUPT', retryable: false, path: damaged, message: /^8 of the files .*session-b\d\.json: it has no bytes.*and 3 more.*skipFailed/ }],
      ['no creds', noCreds, { code: 'ERR_CASK_CORRUPT', path: noCreds, message: /creds\.json: it has no bytes/ }],
      ['nothing', join(damaged, 'nothing'), { code: 'ERR_CASK_INVALID_ARGUMENT', message: /does not exist/ }],
    ]) {
      for (let round = 0; round < 2; round++) await assert.rejects(useCaskAuthState(cask, { account, importFrom, baileys }), expected)
      assert.equal(await cask.account(account).loadCreds(), undefined)
    }
    assert.equal((await importMultiFile(damaged, cask.account('damaged'), { skipFailed: true })).complete, true)
    const { state } = await useCaskAuthState(cask, { account: 'damaged', importFrom: damaged })
    assert.equal(state.creds.me.name, 'Ada')
  })

  test('a folder that is refused leaves no handle behind', async t => {
    const path = newPath(t)
    await assert.rejects(useCaskAuthState(path, { importFrom: join(path, 'nothing') }), { code: 'ERR_CASK_INVALID_ARGUMENT' })
    const child = await startChild(t)
    assert.deepEqual(await child.run(async ({ openCask }, path) => (await openCask({ path })).accounts(), path), [])
  })

  test('two threads that begin at once import once', async t => {
    const folder = await authFolder(t, ONE_OF_EACH, undefined, MANY)
    const worker = await startWorker(t)
    const path = newPath(t)
    const cask = await open(t, { path })
    const start = { path, folder }
    const [here, there] = await Promise.all([
      useCaskAuthState(cask, { importFrom: folder }).then(({ state }) => state.creds.registrationId),
      worker.run(async ({ useCaskAuthState, kept }, { path, folder }) => {
        const { state, close } = await useCaskAuthState(path, { importFrom: folder })
        kept.close = close
        return state.creds.registrationId
      }, start),
    ])
    assert.equal(here, there)
    assert.deepEqual(await contents(cask, ['baileys-cask:import']), await whole(t, folder))
    await worker.run(({ kept }) => kept.close())
  })

  test('importFrom is the path of a folder', async t => {
    const cask = await open(t)
    for (const importFrom of ['', 5, null, { folder: 'a' }]) await assert.rejects(useCaskAuthState(cask, { importFrom }), { name: 'TypeError', code: 'ERR_CASK_INVALID_ARGUMENT', argument: 'importFrom' })
  })
})
