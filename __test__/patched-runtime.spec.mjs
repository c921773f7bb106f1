// Functions of the runtime that tests and applications replace.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { open } from './helpers/casks.mjs'
import { newPath } from './helpers/folders.mjs'
import { isPending, within } from './helpers/gate.mjs'
import { keepingLogger } from './helpers/reports.mjs'

const SOON_MS = 10_000
const HUNG = () => new Promise(() => {})

test('limits hold after timers were fake for a while', async t => {
  const cask = await open(t, { transactionTimeoutMs: 60, stallWarnMs: 30, logger: keepingLogger().logger })
  const { keys } = cask.account()
  t.mock.timers.enable({ apis: ['setTimeout'] })
  await keys.transaction(tx => tx.set({ session: { a: 1 } }), 'line')
  t.mock.timers.reset()
  await within(SOON_MS, 'the time limit', assert.rejects(keys.transaction(async tx => {
    await tx.set({ session: { a: 2 } })
    await HUNG()
  }, 'line'), { code: 'ERR_CASK_TRANSACTION_TIMEOUT' }))
})

test('transactions run and casks close where setTimeout gives a number, as in browsers', async t => {
  const path = newPath(t)
  const cask = await open(t, { path })
  const timers = new Map()
  const original = globalThis.setTimeout
  t.mock.method(globalThis, 'setTimeout', (...given) => {
    const number = timers.size + 1
    timers.set(number, original(...given))
    return number
  })
  t.mock.method(globalThis, 'clearTimeout', number => clearInterval(timers.get(number)))
  const { keys } = cask.account()
  await keys.transaction(tx => tx.set({ session: { a: 1 } }), 'line')
  await cask.close()
  t.mock.restoreAll()
  for (const timer of timers.values()) clearTimeout(timer)
  assert.ok(timers.size > 0)
})

test('a call of a doomed transaction has its code where stacks cannot be put into words', async t => {
  const cask = await open(t)
  const { prepareStackTrace } = Error
  t.after(() => { Error.prepareStackTrace = prepareStackTrace })
  let later
  const ended = cask.account().keys.transaction(async tx => {
    later = () => tx.get('session', ['a'])
    await HUNG()
  }, 'line', { timeoutMs: 10 })
  await assert.rejects(ended, { code: 'ERR_CASK_TRANSACTION_TIMEOUT' })
  Error.prepareStackTrace = () => { throw new Error('prepare throws') }
  const error = await later().catch(error => error)
  Error.prepareStackTrace = prepareStackTrace
  assert.deepEqual([error.code, error.retryable], ['ERR_CASK_TRANSACTION_TIMEOUT', false])
})

test('bytes whose memory is gone are refused, in every form of value', async t => {
  const { keys } = (await open(t)).account()
  const gone = () => {
    const bytes = new Uint8Array([1, 2, 3])
    structuredClone(bytes.buffer, { transfer: [bytes.buffer] })
    return bytes
  }
  const shrunk = () => {
    const buffer = new ArrayBuffer(8, { maxByteLength: 8 })
    const bytes = new Uint8Array(buffer, 4, 4)
    buffer.resize(2)
    return bytes
  }
  for (const [what, make] of Object.entries({ gone, shrunk })) {
    const values = {
      'sender-key': make(), session: make(), 'pre-key': { public: make(), private: new Uint8Array(32) }, 'my own': { deep: [{ bytes: make() }] },
      'app-state-sync-version': { version: 1, hash: make(), indexValueMap: {} }
    }
    for (const [family, value] of Object.entries(values)) {
      await assert.rejects(keys.set({ [family]: { a: value } }), { name: 'TypeError', code: 'ERR_CASK_INVALID_ARGUMENT', retryable: false, message: /memory was handed to another thread or shrunk/ }, `${what} in ${family}`)
    }
  }
  await keys.set({ 'sender-key': { a: new Uint8Array(0) } })
  assert.equal((await keys.get('sender-key', ['a'])).a.length, 0)
})

test('no walk begins while a cask closes, and one that has begun goes on', async t => {
  const cask = await open(t, { name: `closing walks ${process.pid}` })
  const { keys } = cask.account()
  await keys.set({ session: { a: 1, b: 2 } })
  let leave
  const holds = keys.transaction(() => new Promise(resolve => { leave = resolve }))
  const walk = keys.list('session')[Symbol.asyncIterator]()
  await walk.next()
  const closed = cask.close()
  assert.ok(await isPending(closed))
  assert.equal((await walk.next()).done, false)
  for (const begin of [() => keys.list('session'), () => keys.listIds('session')]) {
    await assert.rejects((async () => { for await (const one of begin()) void one })(), { code: 'ERR_CASK_CLOSED' })
  }
  leave()
  await within(SOON_MS, 'the close', Promise.all([holds, closed]))
})
