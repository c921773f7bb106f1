import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { open } from './helpers/casks.mjs'
import { until, within } from './helpers/gate.mjs'
import { keepingLogger } from './helpers/reports.mjs'

const SOON_MS = 10_000

/** A cask in which a call waits, and a function that lets it go on and looks, at once, who may go on. */
async function waiting(t) {
  const cask = await open(t)
  const { keys } = cask.account()
  const controller = new AbortController()
  const holder = keys.transaction(() => new Promise(() => {}), 'held', { signal: controller.signal })
  holder.catch(() => {})
  const waiter = keys.transaction(async () => 'through', 'held')
  const interrupt = () => {
    controller.abort()
    keys.transaction(() => {}).catch(() => {})
  }
  return { keys, waiter, interrupt }
}

describe('user code that runs inside a call and lets others go on', () => {
  test('does not disturb the batch that is being packed', async t => {
    const { keys, waiter, interrupt } = await waiting(t)
    const value = {
      get n() {
        interrupt()
        return 1
      },
    }
    await keys.set({ other: { before: 0, value, after: 2 } })
    assert.deepEqual(await keys.get('other', ['before', 'value', 'after']), { before: 0, value: { n: 1 }, after: 2 })
    assert.equal(await within(SOON_MS, 'the one that waited', waiter), 'through')
  })

  test('does not disturb a read', async t => {
    const { keys, waiter, interrupt } = await waiting(t)
    await keys.set({ other: { first: 1, second: 2 } })
    const ids = ['first', '']
    Object.defineProperty(ids, 1, {
      get() {
        interrupt()
        return 'second'
      },
    })
    assert.deepEqual(await keys.get('other', ids), { first: 1, second: 2 })
    assert.equal(await within(SOON_MS, 'the one that waited', waiter), 'through')
  })
})

test('a logger that writes much while tens of thousands of calls are answered at once keeps none of them waiting', async t => {
  const { logger } = keepingLogger()
  let ended = false
  logger.warn = (_, words) => {
    if (!/no longer waits/.test(words)) return
    ended = true
    keys.set({ other: { large: Buffer.alloc(1 << 20) } })
  }
  const cask = await open(t, { stallWarnMs: 20, logger })
  const { keys } = cask.account()
  const controller = new AbortController()
  const holder = keys.transaction(async tx => {
    await tx.set({ other: { a: 1 } })
    await new Promise(() => {})
  }, undefined, { signal: controller.signal })
  holder.catch(() => {})
  const waiter = keys.set({ other: { a: 2 } })
  await sleep(100)
  controller.abort()
  let flushed = 0
  for (let i = 0; i < 40_000; i++) cask.flush().then(() => flushed++)
  // Until all of them are answered, and nobody has looked.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300)
  await until('all are flushed', () => flushed === 40_000, SOON_MS)
  await waiter
  assert.ok(ended)
})
