import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { CaskError } from 'baileys-cask'
import { open, recordsOf } from './helpers/casks.mjs'
import { isPending, turns, within } from './helpers/gate.mjs'
import { heldOpen, outcome } from './helpers/held-open.mjs'

const SOON_MS = 10_000
const soon = (what, promise) => within(SOON_MS, what, promise)
const LIMIT_MS = 50

function isTimeout({ error }, label) {
  assert.ok(error instanceof CaskError, String(error))
  assert.deepEqual([error.code, error.retryable, error.label], ['ERR_CASK_TRANSACTION_TIMEOUT', true, label])
  assert.ok(Number.isInteger(error.heldMs) && error.heldMs >= 0 && error.heldMs < SOON_MS, `heldMs is ${error.heldMs}`)
  assert.match(error.message, /timeoutMs/)
}

describe('timeoutMs is the total of one call', () => {
  for (const [what, begin] of Object.entries({
    transaction: (keys, work) => keys.transaction(work, 'label', { timeoutMs: LIMIT_MS }),
    'transaction without a label': (keys, work) => keys.transaction(work, undefined, { timeoutMs: LIMIT_MS }),
    transactWith: (keys, work) => keys.transactWith({ records: [{ type: 'session', id: 'a' }] }, work, { timeoutMs: LIMIT_MS }),
    'isolation by label': (keys, work) => keys.transaction(work, 'label', { timeoutMs: LIMIT_MS, isolation: 'label' }),
  })) test(`of ${what}: whatever its work does, it is over then, and its locks are free`, async t => {
    const cask = await open(t)
    const { keys } = cask.account()
    const begun = performance.now()
    let going = true
    t.after(() => (going = false))
    const ended = outcome(begin(keys, async tx => {
      await tx.set({ session: { a: 1 } })
      // Calls do not put it off.
      while (going) {
        await sleep(1)
        await tx.get('session', ['a'])
      }
    }))
    const result = await soon('the limit', ended)
    const took = performance.now() - begun
    isTimeout(result, /label/.test(what) && !/without/.test(what) || what === 'transaction' ? 'label' : undefined)
    assert.ok(took >= LIMIT_MS - 1 && took < 5000, `after ${took} ms`)
    assert.deepEqual(cask.locks(), [])
    assert.deepEqual(await recordsOf(keys, 'session'), [])
  })

  test('the wait for its label counts, and its work never begins', async t => {
    const { keys } = (await open(t)).account()
    const busy = await heldOpen(t, work => keys.transaction(work, 'busy'))
    let begun = 0
    const began = performance.now()
    isTimeout(await soon('the limit', outcome(keys.transaction(async () => begun++, 'busy', { timeoutMs: LIMIT_MS }))), 'busy')
    assert.ok(performance.now() - began >= LIMIT_MS - 1)
    busy.leave()
    await busy.ended
    await soon('the label', keys.transaction(async () => {}, 'busy'))
    assert.equal(begun, 0)
  })

  test('a wait for a record inside counts', async t => {
    const { keys } = (await open(t)).account()
    await heldOpen(t, work => keys.transaction(work), tx => tx.set({ session: { busy: 1 } }))
    let call
    isTimeout(await soon('the limit', outcome(keys.transaction(async tx => {
      call = outcome(tx.get('session', ['busy']))
      await call
    }, 'label', { timeoutMs: LIMIT_MS }))), 'label')
    assert.equal((await soon('the call', call)).error?.code, 'ERR_CASK_TRANSACTION_TIMEOUT')
  })

  test('wait and work together count', async t => {
    const { keys } = (await open(t)).account()
    const busy = await heldOpen(t, work => keys.transaction(work, 'busy'))
    const begun = performance.now()
    let inside
    const ended = outcome(keys.transaction(async () => {
      inside = performance.now()
      await new Promise(() => {})
    }, 'busy', { timeoutMs: 300 }))
    await sleep(150)
    busy.leave()
    isTimeout(await soon('the limit', ended), 'busy')
    assert.ok(performance.now() - begun >= 299)
    assert.ok(inside, 'its work has not begun')
    assert.ok(performance.now() - inside < 290, 'it counts from the beginning of the work')
  })

  test('what was begun inside and is not over counts', async t => {
    const { keys } = (await open(t)).account()
    let inner
    isTimeout(await soon('the limit', outcome(keys.transaction(async tx => {
      inner = outcome(tx.transaction(() => new Promise(() => {}), 'inner'))
    }, 'label', { timeoutMs: LIMIT_MS }))), 'label')
    await soon('its locks', keys.transaction(async () => {}, 'inner'))
  })

  test('the wait of a commit for its locks counts, and nothing is written', async t => {
    const { keys } = (await open(t)).account()
    const busy = await heldOpen(t, work => keys.transaction(work), tx => tx.set({ session: { busy: 1 } }))
    isTimeout(await soon('the limit', outcome(keys.transaction(tx => tx.set({ session: { a: 1, busy: 2 } }), 'label', { timeoutMs: LIMIT_MS, isolation: 'label' }))), 'label')
    busy.leave()
    await soon('the other', busy.ended)
    assert.deepEqual(await recordsOf(keys, 'session'), [['busy', 1]])
  })

  test('of an inner call is of that one only', async t => {
    const { keys } = (await open(t)).account()
    await keys.transaction(async tx => {
      for (const nested of ['join', 'independent']) {
        isTimeout(await soon('the limit', outcome(tx.transaction(async inner => {
          await inner.set({ session: { [nested]: 1 } })
          await new Promise(() => {})
        }, 'inner', { timeoutMs: LIMIT_MS, nested }))), 'inner')
        await tx.set({ session: { outer: 1 } })
      }
    }, 'outer')
    assert.deepEqual(await recordsOf(keys, 'session'), [['outer', 1]])
  })

  test('after one of its calls has failed it still ends the call, with that first error', async t => {
    const { keys } = (await open(t, { lockTimeoutMs: 10 })).account()
    await heldOpen(t, work => keys.transaction(work), tx => tx.set({ session: { busy: 1 } }))
    let first
    const { error } = await soon('the limit', outcome(keys.transaction(async tx => {
      first = (await outcome(tx.get('session', ['busy']))).error
      await new Promise(() => {})
    }, 'label', { timeoutMs: 150 })))
    assert.equal(first.code, 'ERR_CASK_LOCK_TIMEOUT')
    assert.equal(error, first)
  })

  test('the same where the call that failed was a deadlock, or one of an inner transaction', async t => {
    const { keys } = (await open(t)).account()
    const other = await heldOpen(t, work => keys.transaction(work, 'other'))
    const mine = await heldOpen(t, work => keys.transaction(work, 'mine', { timeoutMs: 200 }))
    other.tx.transaction(async () => {}, 'mine').catch(() => {})
    const { error } = await outcome(mine.tx.transaction(async () => {}, 'other'))
    assert.equal(error.code, 'ERR_CASK_DEADLOCK')
    assert.equal((await soon('the limit', outcome(mine.ended))).error, error)
    other.leave()
    await soon('the other', other.ended)
  })

  test('an end in time is an end, and the limit is gone with it', async t => {
    const { keys } = (await open(t)).account()
    const before = process.getActiveResourcesInfo().filter(kind => kind === 'Timeout').length
    for (let n = 0; n < 200; n++) {
      assert.equal(await keys.transaction(async tx => { await tx.set({ session: { a: n } }); return n }, 'label', { timeoutMs: 60_000 }), n)
      await assert.rejects(keys.transaction(async () => { throw new Error('mine') }, 'label', { timeoutMs: 60_000 }), /mine/)
    }
    assert.equal(process.getActiveResourcesInfo().filter(kind => kind === 'Timeout').length, before)
    assert.deepEqual(await recordsOf(keys, 'session'), [['a', 199]])
  })

  test('0 is none', async t => {
    const { keys } = (await open(t)).account()
    const held = await heldOpen(t, work => keys.transaction(work, 'label', { timeoutMs: 0 }))
    await sleep(2 * LIMIT_MS)
    assert.ok(await isPending(held.ended))
    held.leave()
    await held.ended
  })

  test('late ends change nothing', async t => {
    const { keys } = (await open(t)).account()
    const held = await heldOpen(t, work => keys.transaction(work, 'label', { timeoutMs: LIMIT_MS }), tx => tx.set({ session: { a: 1 } }))
    isTimeout(await soon('the limit', outcome(held.ended)), 'label')
    held.leave()
    await turns()
    isTimeout(await outcome(held.ended), 'label')
    assert.deepEqual(await recordsOf(keys, 'session'), [])
  })
})
