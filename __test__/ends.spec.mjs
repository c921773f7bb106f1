import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { openCask } from 'baileys-cask'
import { handleCalls } from './helpers/calls.mjs'
import { collect, open, recordsOf } from './helpers/casks.mjs'
import { newPath } from './helpers/folders.mjs'
import { gate, isPending, turns, until, within } from './helpers/gate.mjs'
import { heldOpen, outcome } from './helpers/held-open.mjs'

const SOON_MS = 10_000
const ENDED = { name: 'CaskError', code: 'ERR_CASK_TRANSACTION_ENDED' }
const soon = (what, promise) => within(SOON_MS, what, promise)

describe('a throw', () => {
  const WAYS = {
    'without a label': (keys, work) => keys.transaction(work),
    'with a label': (keys, work) => keys.transaction(work, 'label'),
    'with records': (keys, work) => keys.transactWith({ records: [{ type: 'session', id: 'a' }] }, work),
    'with isolation by label': (keys, work) => keys.transaction(work, 'label', { isolation: 'label' }),
    'inside another': (keys, work) => keys.transaction(tx => tx.transaction(work, 'inner'), 'outer'),
    'independent inside another': (keys, work) => keys.transaction(tx => tx.transaction(work, 'inner', { nested: 'independent' }), 'outer'),
    'with limits': (keys, work) => keys.transaction(work, 'label', { timeoutMs: 60_000, signal: new AbortController().signal }),
    'where its label was waited for': async (keys, work) => {
      const leave = gate()
      const before = keys.transaction(() => leave.opened, 'label')
      const waits = keys.transaction(work, 'label')
      leave.open()
      await before
      return waits
    },
  }
  for (const [way, begin] of Object.entries(WAYS)) {
    test(`${way} rolls back and comes out as the same error`, async t => {
      const cask = await open(t)
      const { keys } = cask.account()
      await keys.set({ session: { a: 1 } })
      const mine = new Error('mine')
      for (const fail of [async () => { throw mine }, () => { throw mine }]) {
        const { error } = await soon('the end', outcome(begin(keys, async tx => {
          await tx.set({ session: { a: 2, b: 2 } })
          return fail()
        })))
        assert.equal(error, mine)
        assert.deepEqual(await recordsOf(keys, 'session'), [['a', 1]])
        assert.deepEqual(cask.locks(), [])
      }
      const { error } = await soon('the end', outcome(begin(keys, () => { throw mine })))
      assert.equal(error, mine)
      assert.deepEqual(cask.locks(), [])
    })
  }

  test('of a CaskError of somebody else is a throw like any other', async t => {
    const keys = (await open(t)).account().keys
    const other = await openCask()
    await other.close()
    const { error: foreign } = await outcome(other.accounts())
    assert.equal(foreign.code, 'ERR_CASK_CLOSED')
    const { error } = await outcome(keys.transaction(async tx => {
      await tx.set({ session: { a: 1 } })
      throw foreign
    }, 'label'))
    assert.equal(error, foreign)
    assert.deepEqual(await recordsOf(keys, 'session'), [])
  })

  test('after a call has failed does not hide what that call failed with', async t => {
    const cask = await open(t, { lockTimeoutMs: 20 })
    const { keys } = cask.account()
    await heldOpen(t, work => keys.transaction(work), tx => tx.set({ session: { busy: 1 } }))
    let first
    const { error } = await outcome(keys.transaction(async tx => {
      first = (await outcome(tx.get('session', ['busy']))).error
      throw new Error('no session')
    }, 'label'))
    assert.equal(first.code, 'ERR_CASK_LOCK_TIMEOUT')
    assert.equal(error, first)
  })
})

describe('a handle after the end', () => {
  test('of an inner transaction rejects while the one around it goes on', async t => {
    const { keys } = (await open(t)).account()
    await keys.transaction(async tx => {
      for (const fail of [false, true]) {
        let inner
        await outcome(tx.transaction(async given => {
          inner = given
          if (fail) throw new Error('inner')
        }, 'inner'))
        for (const [name, call] of Object.entries(handleCalls(inner))) await assert.rejects(call, { ...ENDED, label: 'inner' }, name)
      }
      await tx.set({ session: { a: 1 } })
    }, 'outer')
    assert.deepEqual(await recordsOf(keys, 'session'), [['a', 1]])
  })

  test('rejects already while the commit is under way', async t => {
    const cask = await open(t, { path: newPath(t), durability: 'power' })
    const { keys } = cask.account()
    let handle
    let done = false
    const ended = keys.transaction(async tx => {
      handle = tx
      await tx.set({ session: { a: 1 } })
    }, 'label').finally(() => (done = true))
    // Microtasks only: what the disk has written is told in a later turn.
    for (let n = 0; n < 50 && handle.isInTransaction(); n++) await null
    const refused = Object.entries(handleCalls(handle)).map(([name, call]) => assert.rejects(call, { ...ENDED, label: 'label' }, name))
    assert.equal(done, false, 'the commit has ended already')
    await Promise.all(refused)
    await ended
    assert.deepEqual(await recordsOf(keys, 'session'), [['a', 1]])
  })

  test('of a transaction that was doomed says that it has ended', async t => {
    const { keys } = (await open(t)).account()
    const controller = new AbortController()
    const held = await heldOpen(t, work => keys.transaction(work, 'label', { signal: controller.signal }))
    controller.abort()
    held.leave()
    await assert.rejects(held.ended, { code: 'ERR_CASK_ABORTED' })
    await turns()
    for (const [name, call] of Object.entries(handleCalls(held.tx))) await assert.rejects(call, { ...ENDED, label: 'label' }, name)
  })
})

describe('ambient calls of work that outlived its transaction', () => {
  test('after a rollback writes reject for transactionTimeoutMs, and count as outside after that', async t => {
    const cask = await open(t, { transactionTimeoutMs: 150 })
    const { keys } = cask.account()
    await keys.set({ session: { a: 0 } })
    const held = await heldOpen(t, work => keys.transaction(async tx => {
      await work(tx)
      throw new Error('rolled back')
    }, 'label'))
    held.leave()
    await assert.rejects(held.ended, /rolled back/)
    const ended = performance.now()
    const refused = await held.inside(() => Promise.all([outcome(keys.set({ session: { a: 1 } })), outcome(keys.clear())]))
    // Where this thread stood still for too long, the time is over and nothing is to be seen of it.
    if (performance.now() - ended < 140) for (const { error } of refused) assert.equal(error?.code, 'ERR_CASK_TRANSACTION_ENDED')
    const late = await until('an ordinary set', () => held.inside(async () => {
      const before = performance.now()
      const { error } = await outcome(keys.set({ session: { a: 2 } }))
      if (error) assert.equal(error.code, 'ERR_CASK_TRANSACTION_ENDED')
      return error ? undefined : before
    }))
    assert.ok(performance.now() - ended >= 149, 'too early')
    assert.ok(late - ended < 5000, `only after ${late - ended} ms`)
    assert.deepEqual(await recordsOf(keys, 'session'), [['a', 2]])
  })

  test('after that time what an inner one left over takes part in the one around it', async t => {
    const { keys } = (await open(t, { transactionTimeoutMs: 100 })).account()
    const outer = await heldOpen(t, work => keys.transaction(work))
    const inner = await outer.inside(() => heldOpen(t, work => keys.transaction(async tx => {
      await work(tx)
      throw new Error('inner')
    })))
    inner.leave()
    await assert.rejects(inner.ended, /inner/)
    await until('a set', () => inner.inside(async () => !(await outcome(keys.set({ session: { late: 1 } }))).error))
    assert.deepEqual(await keys.get('session', ['late']), {}, 'it was committed by itself')
    outer.leave()
    await outer.ended
    assert.deepEqual(await keys.get('session', ['late']), { late: 1 })
  })

  test('without a transactionTimeoutMs they are refused all the same', async t => {
    const { keys } = (await open(t, { transactionTimeoutMs: 0 })).account()
    const held = await heldOpen(t, work => keys.transaction(async tx => {
      await work(tx)
      throw new Error('rolled back')
    }))
    held.leave()
    await assert.rejects(held.ended, /rolled back/)
    await held.inside(() => assert.rejects(keys.set({ session: { a: 1 } }), ENDED))
  })

  test('nothing of it is dropped in silence: each call rejects, or has done what it says', async t => {
    const { keys } = (await open(t)).account()
    for (const fail of [false, true]) {
      await keys.set({ session: { a: 0, late: null, fresh: null, with: null } })
      const held = await heldOpen(t, work => keys.transaction(async tx => {
        await work(tx)
        if (fail) throw new Error('rolled back')
      }, 'label'), tx => tx.set({ session: { a: 1 } }))
      held.leave()
      await outcome(held.ended)
      const committed = fail ? 0 : 1
      await held.inside(async () => {
        assert.equal(keys.isInTransaction(), false)
        assert.deepEqual(await keys.get('session', ['a']), { a: committed })
        assert.deepEqual(await collect(keys.list('session')), [['a', committed]])
        assert.deepEqual(await collect(keys.listIds('session')), ['a'])
        const { error } = await outcome(keys.set({ session: { late: 1 } }))
        assert.equal(error?.code, fail ? 'ERR_CASK_TRANSACTION_ENDED' : undefined)
        await keys.transaction(tx => tx.set({ session: { fresh: 1 } }), 'label')
        await keys.transactWith({ records: [{ type: 'session', id: 'with' }] }, () => keys.set({ session: { with: 1 } }))
      })
      assert.deepEqual(await keys.get('session', ['late', 'fresh', 'with']), { ...(fail ? {} : { late: 1 }), fresh: 1, with: 1 })
    }
  })

  test('a set made while the commit waits for its locks is an ordinary one', async t => {
    const { keys } = (await open(t)).account()
    const busy = await heldOpen(t, work => keys.transaction(work), tx => tx.get('session', ['a']))
    const held = await heldOpen(t, work => keys.transaction(work, 'label', { isolation: 'label' }), tx => tx.set({ session: { a: 'staged' } }))
    held.leave()
    await until('the commit begins', () => !held.tx.isInTransaction())
    assert.ok(await isPending(held.ended), 'the commit does not wait')
    await held.inside(async () => {
      assert.equal(keys.isInTransaction(), false)
      assert.deepEqual(await keys.get('session', ['a']), {})
      await soon('a set of another record', keys.set({ session: { b: 'late' } }))
    })
    assert.deepEqual(await keys.get('session', ['b']), { b: 'late' })
    busy.leave()
    await held.ended
    assert.deepEqual(await keys.get('session', ['a']), { a: 'staged' })
  })
})

describe('a result', () => {
  const mine = new Error('mine')
  const THENABLES = {
    'a thenable': [() => ({ then: give => give(7) }), { value: 7 }],
    'a function that is a thenable': [() => Object.assign(() => {}, { then: give => give(7) }), { value: 7 }],
    'a thenable that gives another one': [() => ({ then: give => give({ then: next => setImmediate(next, 7) }) }), { value: 7 }],
    'a thenable that rejects': [() => ({ then: (_, refuse) => refuse(mine) }), { error: mine }],
    'a thenable whose then throws': [() => ({ then() { throw mine } }), { error: mine }],
    'a thenable whose then throws too late': [() => ({ then(give) { give(7); throw mine } }), { value: 7 }],
    'a thenable whose getter throws': [() => ({ get then() { throw mine } }), { error: mine }],
    'a thenable whose getter throws the second time': [() => ({ seen: 0, get then() { if (this.seen++) throw mine; return give => give(7) } }), { value: 7 }],
    'an object with a then that is no function': [() => ({ then: 7 }), {}],
  }
  for (const [name, [make, expected]] of Object.entries(THENABLES)) for (const waited of [false, true]) {
    test(`that is ${name}${waited ? ', where the label was waited for,' : ''} is as from an async function`, async t => {
      const cask = await open(t)
      const { keys } = cask.account()
      const before = waited ? await heldOpen(t, work => keys.transaction(work, 'label')) : undefined
      const given = make()
      const ended = outcome(keys.transaction(tx => {
        tx.set({ session: { a: 1 } })
        return given
      }, 'label'))
      before?.leave()
      // Where this throws outside of every promise, the test runner takes the error for one of this test.
      const { value, error } = await soon('the end', ended)
      assert.equal(error, expected.error)
      if (!expected.error) assert.equal(value, 'value' in expected ? expected.value : given)
      assert.deepEqual(await recordsOf(keys, 'session'), expected.error ? [] : [['a', 1]])
      assert.deepEqual(cask.locks(), [])
    })
  }

  test('that is a thenable is waited for: what it does before it settles belongs to the transaction', async t => {
    const { keys } = (await open(t)).account()
    const ended = keys.transaction(tx => ({
      then(give, refuse) {
        setImmediate(() => tx.set({ session: { late: 1 } }).then(() => give(7), refuse))
      },
    }), 'label')
    assert.equal(await soon('the end', ended), 7)
    assert.deepEqual(await recordsOf(keys, 'session'), [['late', 1]])
  })
})
