import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { block } from './helpers/block.mjs'
import { open } from './helpers/casks.mjs'
import { isPending, turns, within } from './helpers/gate.mjs'
import { startChild, startWorker } from './helpers/remote.mjs'
import { heldOpen, outcome } from './helpers/held-open.mjs'

const SOON_MS = 10_000
const soon = (what, promise) => within(SOON_MS, what, promise)
const TIMED_OUT = { name: 'CaskError', code: 'ERR_CASK_TRANSACTION_TIMEOUT' }
const keysOf = async (t, transactionTimeoutMs, more = {}) => (await open(t, { transactionTimeoutMs, ...more })).account().keys

/** Lets timers that are due run, and what they bring about. */
async function timersRun() {
  for (let n = 0; n < 3; n++) {
    await sleep(1)
    await turns()
  }
}

describe('time in which this thread stood still does not count', () => {
  for (const limit of [40, 100, 300]) {
    test(`a limit of ${limit} ms outlasts ${3 * limit} ms in which nothing ran`, async t => {
      const keys = await keysOf(t, limit)
      const held = await heldOpen(t, work => keys.transaction(work, 'label'), tx => tx.set({ session: { a: 1 } }))
      // The watch has looked at it at least once.
      await sleep(10 + limit / 6)
      block(3 * limit)
      await timersRun()
      assert.equal((await outcome(held.tx.get('session', ['a']))).error, undefined)
      held.leave()
      await soon('the end', held.ended)
      assert.deepEqual(await keys.get('session', ['a']), { a: 1 })
    })

    test(`a limit of ${limit} ms, where its own work is what keeps the thread busy`, async t => {
      const keys = await keysOf(t, limit)
      await soon('the end', keys.transaction(async tx => {
        await tx.set({ session: { a: 1 } })
        await sleep(10 + limit / 6)
        block(3 * limit)
        await timersRun()
        await tx.set({ session: { b: 1 } })
      }, 'label'))
      assert.deepEqual(await keys.get('session', ['a', 'b']), { a: 1, b: 1 })
    })
  }

  test('many times over, and after the clock has run for a while', async t => {
    const keys = await keysOf(t, 400)
    const held = await heldOpen(t, work => keys.transaction(work, 'label'))
    await sleep(60)
    for (let n = 0; n < 4; n++) {
      block(120)
      await timersRun()
    }
    await held.tx.get('session', ['a'])
    held.leave()
    await soon('the end', held.ended)
  })

  test('it moves the limit and does not lift it: what still hangs is given up', async t => {
    const keys = await keysOf(t, 50)
    const held = await heldOpen(t, work => keys.transaction(work, 'label'))
    await sleep(15)
    block(200)
    const { error } = await soon('the time-out', outcome(held.ended))
    assert.equal(error?.code, 'ERR_CASK_TRANSACTION_TIMEOUT')
    assert.ok(error.heldMs >= 49, `heldMs is ${error.heldMs}`)
  })

  test('a process that was stopped finds its transactions alive when it goes on', async t => {
    if (process.platform === 'win32') return t.skip('no SIGSTOP')
    const child = await startChild(t)
    await child.run(async ({ openCask, kept, say, gate }) => {
      const { keys } = (await openCask({ transactionTimeoutMs: 400 })).account()
      kept.busy = setInterval(() => {}, 1000)
      kept.ended = keys.transaction(async tx => {
        await tx.set({ session: { a: 1 } })
        say('inside')
        await gate('leave')
        await tx.set({ session: { b: 1 } })
      }, 'label').then(() => 'committed', ({ code }) => code)
      kept.read = () => keys.get('session', ['a', 'b'])
    })
    await child.heard('inside')
    // Its watch has looked at it at least once.
    await sleep(120)
    process.kill(child.pid, 'SIGSTOP')
    await sleep(1500)
    child.open('leave')
    process.kill(child.pid, 'SIGCONT')
    assert.equal(await soon('the end', child.run(({ kept }) => kept.ended)), 'committed')
    assert.deepEqual(await child.run(({ kept }) => kept.read()), { a: 1, b: 1 })
  })

  test('a worker thread has a clock of its own', async t => {
    const name = `clocks ${process.pid}`
    const worker = await startWorker(t)
    await worker.run(async ({ openCask, kept, say, gate }, name) => {
      const { keys } = (await openCask({ name, transactionTimeoutMs: 150 })).account()
      kept.ended = keys.transaction(async tx => {
        say('inside')
        await gate('leave')
        await tx.set({ session: { a: 1 } })
      }, 'label').then(() => 'committed', ({ code }) => code)
      await new Promise(setImmediate)
      setTimeout(() => {
        const end = performance.now() + 600
        while (performance.now() < end);
      }, 1)
    }, name)
    worker.open('leave')
    assert.equal(await soon('the end', worker.run(({ kept }) => kept.ended)), 'committed')
    // The main thread's limit goes on while the other one stands still.
    const keys = await keysOf(t, 50, { name })
    const stuck = worker.run(() => { const end = performance.now() + 1000; while (performance.now() < end); })
    const held = await heldOpen(t, work => keys.transaction(work, 'here'))
    await soon('the time-out', assert.rejects(held.ended, TIMED_OUT))
    await stuck
  })
})

describe('the clock is monotonic', () => {
  for (const [how, jump] of [['forwards', 3_600_000], ['backwards', -3_600_000]]) test(`the time of day may jump ${how}`, async t => {
    const keys = await keysOf(t, 200)
    const { now } = Date
    t.after(() => (Date.now = now))
    const held = await heldOpen(t, work => keys.transaction(work, 'label'))
    Date.now = () => now() + jump
    await sleep(60)
    await held.tx.set({ session: { a: 1 } })
    const hung = await heldOpen(t, work => keys.transaction(work, 'hung'))
    held.leave()
    await soon('the end', held.ended)
    const { error } = await soon('the time-out', outcome(hung.ended))
    assert.equal(error?.code, 'ERR_CASK_TRANSACTION_TIMEOUT')
    assert.ok(error.heldMs >= 199 && error.heldMs < SOON_MS)
  })
})

describe('limits of several handles in one thread', () => {
  // Just before the look after the long one is due.
  for (const [stallWarnMs, before] of [[0, 900], [5000, 550]]) test(`a short one beside a long one is kept in time, with stallWarnMs ${stallWarnMs}`, async t => {
    let soonest = Infinity
    // The best of three, since a thread of a busy machine may stand still.
    for (let n = 0; n < 3 && soonest > 250; n++) {
      const long = await keysOf(t, 120_000, { stallWarnMs })
      const waits = await heldOpen(t, work => long.transaction(work, 'long'))
      await sleep(before)
      const short = await keysOf(t, 40, { stallWarnMs })
      const begun = performance.now()
      const hung = await heldOpen(t, work => short.transaction(work, 'short'))
      const { error } = await soon('the time-out', outcome(hung.ended))
      const took = performance.now() - begun
      assert.deepEqual([error?.code, error?.label], ['ERR_CASK_TRANSACTION_TIMEOUT', 'short'])
      assert.ok(took >= 39, `after ${took} ms`)
      assert.ok(error.heldMs >= 39 && error.heldMs <= took + 1, `heldMs is ${error.heldMs} of ${took}`)
      assert.ok(await isPending(waits.ended))
      waits.leave()
      await waits.ended
      soonest = Math.min(soonest, took)
    }
    assert.ok(soonest <= 250, `after ${soonest} ms`)
  })

  test('the other way round: the long one is not cut short', async t => {
    const short = await keysOf(t, 40)
    const hung = await heldOpen(t, work => short.transaction(work, 'short'))
    const long = await keysOf(t, 120_000)
    const waits = await heldOpen(t, work => long.transaction(work, 'long'))
    await soon('the time-out', assert.rejects(hung.ended, TIMED_OUT))
    assert.ok(await isPending(waits.ended))
    waits.leave()
    await soon('the end', waits.ended)
  })

  test('heldMs is the time since the first lock, whatever else is watched, and never negative', async t => {
    const long = await keysOf(t, 120_000)
    await heldOpen(t, work => long.transaction(work, 'long'))
    for (const [before, limit] of [[0, 20], [300, 20], [300, 80], [700, 30]]) {
      await sleep(before)
      const short = await keysOf(t, limit)
      const begun = performance.now()
      const hung = await heldOpen(t, work => short.transaction(work, 'short', { timeoutMs: 5000 }))
      const { error } = await soon('the time-out', outcome(hung.ended))
      const took = performance.now() - begun
      assert.equal(error?.code, 'ERR_CASK_TRANSACTION_TIMEOUT')
      assert.ok(error.heldMs >= limit - 1 && error.heldMs <= took + 1, `heldMs is ${error.heldMs} of ${took}, with a limit of ${limit}`)
    }
  })

  test('also by timeoutMs', async t => {
    const long = await keysOf(t, 120_000)
    const held = await heldOpen(t, work => long.transaction(work, 'long'))
    await sleep(700)
    const begun = performance.now()
    const short = await keysOf(t, 40)
    const other = await heldOpen(t, work => short.transaction(work, 'by timeoutMs', { timeoutMs: 30 }))
    const { error } = await soon('the time-out', outcome(other.ended))
    assert.ok(error.heldMs >= 0 && error.heldMs <= performance.now() - begun + 1, `heldMs is ${error.heldMs}`)
    held.leave()
  })

  test('a limit of one handle is not that of another one of the same store', async t => {
    const name = `limits ${process.pid}`
    const [short, long] = [await keysOf(t, 40, { name }), await keysOf(t, 120_000, { name })]
    const hung = await heldOpen(t, work => short.transaction(work, 'short'))
    const waits = await heldOpen(t, work => long.transaction(work, 'long'))
    await soon('the time-out', assert.rejects(hung.ended, TIMED_OUT))
    await sleep(100)
    assert.ok(await isPending(waits.ended))
  })
})
