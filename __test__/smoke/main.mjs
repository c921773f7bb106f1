// What no runtime may fail at, in one program without a test runner: `node __test__/smoke/main.mjs`, or bun.
import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import * as imported from 'baileys-cask'

const { attachCask, CaskError, detached, openCask, useCaskAuthState } = imported
const folder = mkdtempSync(join(tmpdir(), 'cask-test-'))
/** Ends the program where something hangs, with what did. */
let running = 'start'
const watchdog = setTimeout(() => {
  console.error(`${running}: hangs`)
  process.exit(3)
}, 60_000)

/** Casks that are closed after the part that opened them. */
const opened = []
async function open(options) {
  const cask = await openCask(options)
  opened.push(cask)
  return cask
}

const WORKERS = 3
const ROUNDS = 50

const PARTS = {
  'import and require give one and the same package'() {
    const required = createRequire(import.meta.url)('baileys-cask')
    assert.equal(required.openCask, openCask)
    assert.deepEqual(Object.keys(required).sort(), Object.keys(imported).filter(name => name !== 'default').sort())
  },

  async 'values come back as they were set'() {
    const cask = await open()
    const { keys } = cask.account('a')
    const session = { _sessions: { x: { registrationId: 1, chain: { 0: 'AAA=' } } }, version: 'v1' }
    await keys.set({ session: { a: session }, 'pre-key': { 1: { public: Buffer.alloc(32, 1), private: Buffer.alloc(32, 2) } }, 'lid-mapping': { 'ä/ö': 'x', gone: 'y' } })
    await keys.set({ 'lid-mapping': { gone: null } })
    assert.deepEqual(await keys.get('session', ['a', 'absent']), { a: session })
    const { 1: pair } = await keys.get('pre-key', ['1'])
    assert.ok(Buffer.isBuffer(pair.private) && pair.private.equals(Buffer.alloc(32, 2)))
    const ids = []
    for await (const id of keys.listIds('lid-mapping')) ids.push(id)
    assert.deepEqual(ids, ['ä/ö'])
  },

  async 'transactions commit whole, roll back whole, and exclude each other'() {
    const cask = await open()
    const { keys } = cask.account()
    await keys.set({ counter: { n: 0 } })
    const increment = label => keys.transaction(async tx => {
      const { n } = await tx.get('counter', ['n'])
      await new Promise(setImmediate)
      await tx.set({ counter: { n: n + 1 } })
    }, label)
    await Promise.all(Array.from({ length: 20 }, (_, i) => increment(`label ${i}`).catch(async error => {
      assert.equal(error.code, 'ERR_CASK_DEADLOCK')
      await increment(`label ${i}`)
    })))
    assert.deepEqual(await keys.get('counter', ['n']), { n: 20 })
    await assert.rejects(keys.transaction(async tx => {
      await tx.set({ counter: { n: -1 } })
      throw new Error('mine')
    }, 'label'), { message: 'mine' })
    assert.deepEqual(await keys.get('counter', ['n']), { n: 20 })
    assert.deepEqual(cask.locks(), [])
  },

  async 'calls find their transaction by the async context, and leave it'() {
    const cask = await open()
    const { keys } = cask.account()
    const mine = new AsyncLocalStorage()
    await mine.run('kept', () => keys.transaction(async () => {
      await new Promise(resolve => setTimeout(resolve, 1))
      assert.equal(mine.getStore(), 'kept')
      assert.equal(keys.isInTransaction(), true)
      await keys.set({ 'lid-mapping': { a: 'staged' } })
      assert.deepEqual(await keys.get('lid-mapping', ['a']), { a: 'staged' })
      assert.deepEqual(await detached(() => keys.get('lid-mapping', ['a'])), {})
      await keys.transaction(async () => assert.equal(keys.isInTransaction(), true), 'inner')
    }, 'label'))
    assert.equal(keys.isInTransaction(), false)
    assert.deepEqual(await keys.get('lid-mapping', ['a']), { a: 'staged' })
  },

  async 'errors are errors with a code'() {
    await assert.rejects(openCask({ pth: 1 }), error => error instanceof TypeError && error.code === 'ERR_CASK_INVALID_ARGUMENT')
    const cask = await openCask()
    await cask.close()
    await assert.rejects(cask.accounts(), error => error instanceof CaskError && error.code === 'ERR_CASK_CLOSED')
  },

  async 'worker threads share one store, lose no update, and one that is terminated leaves no lock'() {
    const path = join(folder, 'shared')
    const cask = await open({ path })
    const { keys } = cask.account()
    await keys.set({ counter: { n: 0 } })
    const workers = Array.from({ length: WORKERS }, () => new Worker(new URL('worker.mjs', import.meta.url), { workerData: { path, rounds: ROUNDS } }))
    for (const [message] of await Promise.all(workers.map(worker => once(worker, 'message')))) assert.equal(message, 'done')
    assert.deepEqual(await keys.get('counter', ['n']), { n: WORKERS * ROUNDS })
    const held = once(workers[0], 'message')
    workers[0].postMessage('hold')
    assert.equal((await held)[0], 'held')
    const waiting = keys.set({ counter: { n: 0 } })
    await Promise.all(workers.map(worker => worker.terminate()))
    await waiting
    assert.deepEqual(await keys.get('counter', ['n']), { n: 0 })
  },

  async 'a folder that is opened again holds what was acknowledged'() {
    const path = join(folder, 'again')
    for (const durability of ['process', 'power']) {
      const cask = await openCask({ path, durability })
      await cask.account().keys.set({ session: { [durability]: { a: 'x'.repeat(2000) } } })
      await cask.close()
    }
    const cask = await open({ path })
    assert.deepEqual(Object.keys(await cask.account().keys.get('session', ['process', 'power'])).sort(), ['power', 'process'])
    const same = attachCask(path)
    assert.deepEqual(await same.accounts(), ['default'])
    await same.close()
  },

  async 'the drop-in makes creds once'() {
    const path = join(folder, 'auth')
    const first = await useCaskAuthState(path)
    await first.saveCreds()
    await first.close()
    const second = await useCaskAuthState(path)
    assert.notEqual(second.state, first.state)
    assert.deepEqual(second.state.creds.noiseKey, first.state.creds.noiseKey)
    assert.ok(Buffer.isBuffer(second.state.creds.noiseKey.private))
    await second.close()
  },
}

try {
  for (const [name, part] of Object.entries(PARTS)) {
    running = name
    await part()
    await Promise.all(opened.splice(0).map(cask => cask.close()))
    console.log(`ok ${name}`)
  }
  console.log('all parts passed')
} catch (error) {
  console.error(`${running}: ${error.stack}`)
  process.exitCode = 1
} finally {
  clearTimeout(watchdog)
  rmSync(folder, { recursive: true, force: true })
}
