import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { CaskError } from 'baileys-cask'
import { open, recordsOf } from './helpers/casks.mjs'
import { newPath } from './helpers/folders.mjs'
import { gate, isPending, turns, within } from './helpers/gate.mjs'
import { heldOpen, outcome } from './helpers/held-open.mjs'

const SOON_MS = 10_000
const soon = (what, promise) => within(SOON_MS, what, promise)
const keysOf = async (t, options) => (await open(t, options)).account().keys
const listeners = signal => getEventListeners(signal, 'abort').length

function isAborted({ error }, reason, label = 'label') {
  assert.ok(error instanceof CaskError, String(error))
  assert.deepEqual([error.code, error.retryable, error.label ?? null], ['ERR_CASK_ABORTED', false, label])
  assert.equal(error.cause, reason)
}

describe('a signal that is aborted', () => {
  test('before the call: rejects, work never begins, nothing is locked or left', async t => {
    const cask = await open(t)
    const { keys } = cask.account()
    const reason = new Error('why')
    const signal = AbortSignal.abort(reason)
    let begun = 0
    const work = async () => begun++
    isAborted(await outcome(keys.transaction(work, 'label', { signal })), reason)
    isAborted(await outcome(keys.transactWith({ records: [{ type: 'session', id: 'a' }] }, work, { signal })), reason, null)
    isAborted(await outcome(keys.transaction(tx => tx.transaction(work, 'label', { signal }))), reason)
    assert.deepEqual([begun, cask.locks(), listeners(signal)], [0, [], 0])
  })

  test('while its label is waited for: rejects at once, its work never begins, and the line goes on', async t => {
    const cask = await open(t)
    const { keys } = cask.account()
    const busy = await heldOpen(t, work => keys.transaction(work, 'label'))
    const controller = new AbortController()
    let begun = 0
    const ended = outcome(keys.transaction(async () => begun++, 'label', { signal: controller.signal }))
    const behind = keys.transaction(async () => 'behind', 'label')
    assert.ok(await isPending(ended))
    controller.abort('why')
    isAborted(await soon('its end', ended), 'why')
    assert.equal(cask.locks()[0].waiters.length, 1)
    busy.leave()
    assert.equal(await soon('the one behind', behind), 'behind')
    await turns()
    assert.equal(begun, 0)
  })

  for (const [what, call] of Object.entries({
    get: tx => tx.get('session', ['busy']), set: tx => tx.set({ session: { a: 1, busy: 1 } }), clear: tx => tx.clear(), setCreds: tx => tx.setCreds({}),
    'a label inside': tx => tx.transaction(async () => {}, 'busy'),
  })) test(`while ${what} waits inside: the call and the transaction reject at once, though its work goes on`, async t => {
    const cask = await open(t)
    const { keys } = cask.account()
    const busy = await heldOpen(t, work => keys.transaction(work, 'busy'), async tx => { await tx.set({ session: { busy: 0 } }); await tx.setCreds({}) })
    const controller = new AbortController()
    const held = await heldOpen(t, work => keys.transaction(work, 'label', { signal: controller.signal }))
    const waits = outcome(call(held.tx))
    assert.ok(await isPending(waits))
    controller.abort('why')
    isAborted(await soon('the transaction', outcome(held.ended)), 'why')
    assert.equal((await soon('the call', waits)).error?.code, 'ERR_CASK_ABORTED')
    assert.ok(cask.locks().every(({ waiters }) => waiters.length === 0), 'it still waits')
    await soon('its label', keys.transaction(async () => {}, 'label'))
    busy.leave()
    await soon('the end of the other', busy.ended)
    assert.deepEqual(await recordsOf(keys, 'session'), [['busy', 0]])
  })

  test('while its work runs: rejects at once with the reason, frees its locks, and commits nothing', async t => {
    const cask = await open(t)
    const { keys } = cask.account()
    for (const reason of [new Error('mine'), 'a string', 0, null, undefined]) {
      const controller = new AbortController()
      const held = await heldOpen(t, work => keys.transaction(work, 'label', { signal: controller.signal }), tx => tx.set({ session: { a: 1 } }))
      controller.abort(reason)
      assert.deepEqual(cask.locks(), [], 'its locks are not free in the turn of the abort')
      isAborted(await soon('its end', outcome(held.ended)), controller.signal.reason)
      held.leave()
      await turns()
      assert.deepEqual(await recordsOf(keys, 'session'), [])
    }
  })

  test('by a time-out of its own gives that as the cause', async t => {
    const keys = await keysOf(t)
    const signal = AbortSignal.timeout(30)
    const held = await heldOpen(t, work => keys.transaction(work, 'label', { signal }))
    isAborted(await soon('its end', outcome(held.ended)), signal.reason)
    assert.equal(signal.reason.name, 'TimeoutError')
  })

  test('by the work itself dooms it all the same', async t => {
    const keys = await keysOf(t)
    const controller = new AbortController()
    isAborted(await soon('its end', outcome(keys.transaction(async tx => {
      await tx.set({ session: { a: 1 } })
      controller.abort('mine')
      await assert.rejects(tx.get('session', ['a']), { code: 'ERR_CASK_ABORTED' })
      return 'done'
    }, 'label', { signal: controller.signal }))), 'mine')
    isAborted(await soon('its end', outcome(keys.transaction(() => {
      new Promise(() => {})
      return Promise.resolve('synchronous')
    }, 'label', { signal: controller.signal }))), 'mine')
    assert.deepEqual(await recordsOf(keys, 'session'), [])
  })

  test('while it waits, after its work, for what runs inside it, still dooms it', async t => {
    const keys = await keysOf(t)
    const controller = new AbortController()
    const hang = gate()
    t.after(hang.open)
    let inner
    const ended = outcome(keys.transaction(tx => {
      inner = outcome(tx.transaction(() => hang.opened, 'inner'))
      return 'done'
    }, 'label', { signal: controller.signal }))
    assert.ok(await isPending(ended))
    controller.abort('why')
    isAborted(await soon('its end', ended), 'why')
    await soon('the locks of what ran inside', keys.transaction(async () => {}, 'inner'))
    hang.open()
    assert.equal((await soon('the inner one', inner)).error?.code, 'ERR_CASK_ABORTED')
  })

  test('while its commit waits for its locks: that wait is cancelled like any other, and nothing is written', async t => {
    const keys = await keysOf(t)
    const busy = await heldOpen(t, work => keys.transaction(work), tx => tx.set({ session: { a: 0 } }))
    const controller = new AbortController()
    const held = await heldOpen(t, work => keys.transaction(work, 'label', { signal: controller.signal, isolation: 'label' }), tx => tx.set({ session: { a: 1, b: 1 } }))
    held.leave()
    assert.ok(await isPending(held.ended))
    controller.abort('why')
    isAborted(await soon('its end', outcome(held.ended)), 'why')
    await soon('its label', keys.transaction(async () => {}, 'label'))
    busy.leave()
    await soon('the other', busy.ended)
    assert.deepEqual(await recordsOf(keys, 'session'), [['a', 0]])
  })

  test('of an inner transaction dooms that one only', async t => {
    const keys = await keysOf(t)
    await keys.transaction(async tx => {
      for (const nested of ['join', 'independent']) {
        const controller = new AbortController()
        const inner = await heldOpen(t, work => tx.transaction(work, 'label', { signal: controller.signal, nested }), given => given.set({ session: { inner: 1 } }))
        controller.abort(nested)
        isAborted(await soon('its end', outcome(inner.ended)), nested)
      }
      await tx.set({ session: { outer: 1 } })
    }, 'outer')
    assert.deepEqual(await recordsOf(keys, 'session'), [['outer', 1]])
  })

  test('of the one around it dooms what joins it, and not what is independent', async t => {
    const keys = await keysOf(t)
    const controller = new AbortController()
    const outer = await heldOpen(t, work => keys.transaction(work, 'label', { signal: controller.signal }))
    const joined = await heldOpen(t, work => outer.tx.transaction(work))
    const independent = await heldOpen(t, work => outer.tx.transaction(work, 'i', { nested: 'independent' }))
    controller.abort('why')
    isAborted(await soon('the outer end', outcome(outer.ended)), 'why')
    await assert.rejects(joined.tx.get('session', ['a']), { code: 'ERR_CASK_ABORTED' })
    await independent.tx.set({ session: { kept: 1 } })
    independent.leave()
    await soon('the independent end', independent.ended)
    joined.leave()
    await assert.rejects(joined.ended, { code: 'ERR_CASK_ABORTED' })
    assert.deepEqual(await recordsOf(keys, 'session'), [['kept', 1]])
  })

  test('one signal may be of many transactions', async t => {
    const keys = await keysOf(t)
    const controller = new AbortController()
    const many = await Promise.all(Array.from({ length: 30 }, (_, n) => heldOpen(t, work => keys.transaction(work, `l${n}`, { signal: controller.signal }))))
    controller.abort('all')
    for (const [n, { ended }] of many.entries()) isAborted(await soon('an end', outcome(ended)), 'all', `l${n}`)
  })

  test('after one of its calls has failed: it rejects then, with that first error, though its work hangs', async t => {
    const keys = await keysOf(t, { lockTimeoutMs: 10 })
    await heldOpen(t, work => keys.transaction(work), tx => tx.set({ session: { busy: 1 } }))
    const controller = new AbortController()
    const held = await heldOpen(t, work => keys.transaction(work, 'label', { signal: controller.signal }))
    const { error } = await outcome(held.tx.get('session', ['busy']))
    assert.equal(error.code, 'ERR_CASK_LOCK_TIMEOUT')
    assert.ok(await isPending(held.ended))
    controller.abort()
    assert.equal((await soon('its end', outcome(held.ended))).error, error)
  })
})

describe('an abort in the turn in which the label is granted', () => {
  // However many microtasks after the one before has ended it comes: either the work had begun by then, or it never does.
  for (let depth = 0; depth < 5; depth++) test(`${depth} microtasks after the end before: no work begins after it`, async t => {
    const keys = await keysOf(t)
    const controller = new AbortController()
    const order = []
    const leave = gate()
    const before = keys.transaction(() => leave.opened, 'label')
    const ended = outcome(keys.transaction(async tx => {
      order.push('work')
      await tx.set({ session: { a: 1 } })
    }, 'label', { signal: controller.signal }))
    assert.ok(await isPending(ended))
    const aborts = (async () => {
      await before
      for (let n = 0; n < depth; n++) await null
      order.push('abort')
      controller.abort('why')
    })()
    leave.open()
    await aborts
    const result = await soon('its end', ended)
    await turns()
    assert.ok(!order.includes('work') || order.indexOf('work') < order.indexOf('abort'), order.join(', then '))
    if (result.error) isAborted(result, 'why')
    assert.deepEqual(await recordsOf(keys, 'session'), result.error ? [] : [['a', 1]])
    await soon('the label', keys.transaction(async () => {}, 'label'))
  })

  test('also where the record that it names is granted by a plain set, and where another handle lets go', async t => {
    const name = `signals ${process.pid}`
    const [keys, other] = [await keysOf(t, { name }), await keysOf(t, { name })]
    for (let depth = 0; depth < 5; depth++) {
      const controller = new AbortController()
      const order = []
      const leave = gate()
      const before = other.transaction(async tx => { await tx.set({ session: { r: depth } }); await leave.opened })
      const ended = outcome(keys.transactWith({ records: [{ type: 'session', id: 'r' }] }, async () => order.push('work'), { signal: controller.signal }))
      await isPending(ended)
      leave.open()
      await before
      for (let n = 0; n < depth; n++) await null
      order.push('abort')
      controller.abort('why')
      await soon('its end', ended)
      await turns()
      assert.ok(!order.includes('work') || order.indexOf('work') < order.indexOf('abort'), `${depth}: ${order.join(', then ')}`)
    }
  })
})

describe('a commit that has begun', () => {
  test('goes on, whatever the signal does: it is written, and its promise says so', async t => {
    const keys = await keysOf(t, { path: newPath(t), durability: 'power' })
    const controller = new AbortController()
    let handle
    const ended = keys.transaction(async tx => {
      handle = tx
      await tx.set({ session: { a: 1 } })
      return 'committed'
    }, 'label', { signal: controller.signal })
    for (let n = 0; n < 50 && handle.isInTransaction(); n++) await null
    assert.equal(handle.isInTransaction(), false, 'its commit has not begun')
    controller.abort('too late')
    assert.equal(await soon('its end', ended), 'committed')
    assert.deepEqual(await recordsOf(keys, 'session'), [['a', 1]])
  })
})

describe('a signal collects no listeners', () => {
  test('however its transactions end', async t => {
    const keys = await keysOf(t, { transactionTimeoutMs: 60 })
    const { signal } = new AbortController()
    const mine = new Error('mine')
    await keys.transaction(async tx => { await tx.set({ session: { a: 1 } }); assert.equal(listeners(signal), 1) }, 'label', { signal })
    await outcome(keys.transaction(async () => { throw mine }, 'label', { signal }))
    await outcome(keys.transaction(() => { throw mine }, 'label', { signal }))
    await keys.transaction(() => 'no promise', 'label', { signal })
    await outcome(keys.transaction(async () => {}, '', { signal }))
    await outcome(keys.transaction('no function', 'label', { signal }))
    await outcome(keys.transactWith({ records: [{ type: 'session', id: '' }] }, async () => {}, { signal }))
    await keys.transaction(tx => tx.transaction(async () => {}, 'inner', { signal, nested: 'independent' }), 'label', { signal })
    await outcome(keys.transaction(tx => tx.transaction(async () => { throw mine }, 'inner', { signal }), 'label', { signal }))
    const late = await heldOpen(t, work => keys.transaction(work, 'late', { signal }))
    await soon('the time-out', assert.rejects(late.ended, { code: 'ERR_CASK_TRANSACTION_TIMEOUT' }))
    await outcome(keys.transaction(() => new Promise(() => {}), 'label', { signal, timeoutMs: 10 }))
    assert.equal(listeners(signal), 0)
    const { signal: aborted } = new AbortController()
    const controller = new AbortController()
    const held = await heldOpen(t, work => keys.transaction(work, 'label', { signal: controller.signal }))
    controller.abort()
    await outcome(held.ended)
    assert.deepEqual([listeners(controller.signal), listeners(aborted)], [0, 0])
  })

  test('also when it is used 10,000 times', async t => {
    const keys = await keysOf(t)
    const { signal } = new AbortController()
    const warnings = []
    const hear = warning => warnings.push(warning)
    process.on('warning', hear)
    t.after(() => process.off('warning', hear))
    for (let n = 0; n < 10_000; n++) await keys.transaction(async () => {}, 'label', { signal })
    await turns()
    assert.deepEqual([listeners(signal), warnings], [0, []])
  })
})

describe('what is no AbortSignal', () => {
  const like = methods => Object.assign(Object.create({ aborted: false, reason: undefined, addEventListener() {}, removeEventListener() {} }), methods)
  const WRONG = {
    'a number': 1, 'a string': 'abort', null: null, 'an object': {}, 'a controller': new AbortController(), 'a promise': Promise.resolve(),
    'one without aborted': like({ aborted: undefined }), 'one whose aborted is no boolean': like({ aborted: 'no' }),
    'one without addEventListener': like({ addEventListener: undefined }), 'one without removeEventListener': like({ removeEventListener: undefined }),
  }
  for (const [name, signal] of Object.entries(WRONG)) test(`${name} is refused at once, with a TypeError`, async t => {
    const cask = await open(t)
    const { keys } = cask.account()
    let begun = 0
    const work = async () => begun++
    const check = { name: 'TypeError', code: 'ERR_CASK_INVALID_ARGUMENT', argument: 'signal', message: /signal is an AbortSignal/ }
    await soon('the refusal', assert.rejects(keys.transaction(work, 'label', { signal }), check))
    await soon('the refusal', assert.rejects(keys.transactWith({ records: [{ type: 'session', id: 'a' }] }, work, { signal }), check))
    await keys.transaction(async tx => {
      await soon('the refusal', assert.rejects(tx.transaction(work, 'label', { signal }), check))
      await tx.set({ session: { a: 1 } })
    })
    assert.deepEqual([begun, cask.locks(), await recordsOf(keys, 'session')], [0, [], [['a', 1]]])
  })

  test('what has all of it will do, of whatever class', async t => {
    const keys = await keysOf(t)
    const target = new EventTarget()
    const signal = like({ addEventListener: target.addEventListener.bind(target), removeEventListener: target.removeEventListener.bind(target) })
    assert.equal(await keys.transaction(async () => 1, 'label', { signal }), 1)
    const held = await heldOpen(t, work => keys.transaction(work, 'label', { signal }))
    signal.aborted = true
    signal.reason = 'of my own'
    target.dispatchEvent(new Event('abort'))
    isAborted(await soon('its end', outcome(held.ended)), 'of my own')
  })

  test('undefined is none', async t => {
    const keys = await keysOf(t)
    assert.equal(await keys.transaction(async () => 1, 'label', { signal: undefined, timeoutMs: undefined }), 1)
  })
})
