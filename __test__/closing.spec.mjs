import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { openCask } from 'baileys-cask'
import { open, recordsOf } from './helpers/casks.mjs'
import { isPending, within } from './helpers/gate.mjs'
import { doomedInside, heldOpen, outcome } from './helpers/held-open.mjs'

const SOON_MS = 10_000
const soon = (what, promise) => within(SOON_MS, what, promise)
/** As long as it takes to close a cask for which nothing has to be waited for, and more. */
const enough = () => sleep(25)
let names = 0

/** Two handles to one store: what is locked through the second keeps the first waiting. */
async function twoHandles(t, options = {}) {
  const name = `closing ${process.pid} ${names++}`
  const [cask, other] = [await open(t, { name, ...options }), await open(t, { name })]
  const [account, others] = [cask.account(), other.account()]
  const holder = await heldOpen(t, work => others.keys.transaction(work, 'busy'), async tx => {
    await tx.set({ session: { busy: 'holder' } })
    await tx.setCreds({ of: 'holder' })
  })
  return { cask, account, keys: account.keys, others, holder }
}

describe('close() waits', () => {
  const CALLS = {
    'a plain set that waits for a lock': [({ keys }) => keys.set({ session: { busy: 'after', a: 1 } }), { busy: 'after', a: 1 }],
    'a plain set of a thousand records that waits for a lock': [({ keys }) => keys.set({ session: { busy: 'after', ...Object.fromEntries(Array.from({ length: 1000 }, (_, n) => [n, n])) } }), { busy: 'after', 999: 999 }],
    'a clear that waits for a lock': [({ keys }) => keys.clear(), {}],
    'saveCreds that waits for its lock': [({ account }) => account.saveCreds({ of: 'after' }), { busy: 'holder' }, { of: 'after' }],
    'saveCreds that waits, of a transaction that has ended': [({ account, keys }) => new Promise((resolve, reject) => {
      keys.transaction(() => { account.saveCreds({ of: 'after' }).then(resolve, reject) })
    }), { busy: 'holder' }, { of: 'after' }],
    'a list that waits in a transaction': [({ keys }) => keys.transaction(async tx => { for await (const id of tx.listIds('session')) await tx.set({ session: { [id]: 'after' } }) }), { busy: 'after' }],
    'a transaction that waits for its label': [({ keys }) => keys.transaction(tx => tx.set({ session: { a: 1 } }), 'busy'), { busy: 'holder', a: 1 }],
    'a transaction that waits for its records': [({ keys }) => keys.transactWith({ records: [{ type: 'session', id: 'busy' }] }, tx => tx.set({ session: { a: 1 } })), { busy: 'holder', a: 1 }],
    'a transaction that waits inside': [({ keys }) => keys.transaction(tx => tx.set({ session: { busy: 'after' } })), { busy: 'after' }],
    'a commit that waits for its locks': [({ keys }) => keys.transaction(tx => tx.set({ session: { busy: 'after' } }), undefined, { isolation: 'label' }), { busy: 'after' }],
    'keys that ignore the context': [({ cask }) => cask.account('default', { ambient: false }).keys.set({ session: { busy: 'after' } }), { busy: 'after' }],
  }
  for (const [name, [call, records, creds = { of: 'holder' }]] of Object.entries(CALLS)) test(`for ${name}`, async t => {
    const handles = await twoHandles(t)
    const { cask, others, holder } = handles
    const order = []
    const waits = call(handles).then(() => order.push('the call'))
    assert.ok(await isPending(waits))
    const closed = cask.close().then(() => order.push('close'))
    await enough()
    assert.deepEqual(order, [])
    holder.leave()
    await soon('both', Promise.all([waits, closed]))
    assert.deepEqual(order, ['the call', 'close'])
    assert.deepEqual(await others.keys.get('session', ['busy', 'a', '999']), records)
    assert.deepEqual(await others.loadCreds(), creds)
  })

  test('for a plain set that waits for a transaction of the same handle, which it lets finish', async t => {
    const cask = await openCask({ name: `closing ${process.pid} ${names++}` })
    const { keys } = cask.account()
    const held = await heldOpen(t, work => keys.transaction(async tx => { await work(tx); await tx.set({ session: { b: 'held' } }) }), tx => tx.set({ session: { a: 'held' } }))
    const order = []
    const set = keys.set({ session: { a: 'plain' } }).then(() => order.push('the set'))
    assert.ok(await isPending(set))
    const closed = cask.close().then(() => order.push('close'))
    await enough()
    held.leave()
    await soon('all', Promise.all([held.ended, set, closed]))
    assert.deepEqual(order, ['the set', 'close'])
  })

  for (const [how, options, limits] of [['timed out', { timeoutMs: 30 }, {}], ['timed out, by transactionTimeoutMs', {}, { transactionTimeoutMs: 50 }]]) {
    test(`for an independent transaction, though the one around it has ${how}`, async t => {
      const name = `closing ${process.pid} ${names++}`
      const [cask, other] = [await open(t, { name, ...limits }), await open(t, { name })]
      const { keys } = cask.account()
      const outer = await heldOpen(t, work => keys.transaction(work, 'outer', options))
      const inner = await heldOpen(t, work => outer.tx.transaction(async tx => { await work(tx); await tx.set({ session: { a: 1 } }); await keys.set({ session: { b: 1 } }) }, undefined, { nested: 'independent' }))
      await soon('the time-out', assert.rejects(outer.ended, { code: 'ERR_CASK_TRANSACTION_TIMEOUT' }))
      const order = []
      const ended = inner.ended.then(() => order.push('the inner one'))
      const closed = cask.close().then(() => order.push('close'))
      await enough()
      assert.deepEqual(order, [])
      inner.leave()
      await soon('both', Promise.all([ended, closed]))
      assert.deepEqual(order, ['the inner one', 'close'])
      assert.deepEqual(await recordsOf(other.account().keys, 'session'), [['a', 1], ['b', 1]])
    })
  }

  test('for a transaction of another account inside one that has ended', async t => {
    const cask = await openCask()
    const [a, b] = ['a', 'b'].map(name => cask.account(name).keys)
    const outer = await heldOpen(t, work => a.transaction(work))
    const inner = await outer.inside(() => heldOpen(t, work => b.transaction(work)))
    outer.leave()
    await outer.ended
    const order = []
    const ended = inner.ended.then(() => order.push('the inner one'))
    const closed = cask.close().then(() => order.push('close'))
    await enough()
    assert.deepEqual(order, [])
    inner.leave()
    await soon('both', Promise.all([ended, closed]))
    assert.deepEqual(order, ['the inner one', 'close'])
  })
})

test('close() inside of a transaction that is doomed is as good as outside, but not inside of another one around it', async t => {
  const cask = await openCask()
  const { outer, inner } = await doomedInside(t, cask.account('a').keys, cask.account('b').keys)
  await inner.inside(() => assert.rejects(cask.close(), { code: 'ERR_CASK_INVALID_ARGUMENT' }))
  outer.leave()
  await outer.ended
  await inner.inside(() => soon('the close', cask.close()))
  await assert.rejects(cask.accounts(), { code: 'ERR_CASK_CLOSED' })
})

describe('close() does not wait for ever for a transaction that is doomed, though its work hangs', () => {
  // Where its work hangs and nothing gives it up, that limit does.
  const LIMITS = { transactionTimeoutMs: 150 }
  const DOOMS = {
    'by a call that has failed': ['ERR_CASK_LOCK_TIMEOUT', { ...LIMITS, lockTimeoutMs: 20 }, async (t, { keys }) => {
      const held = await heldOpen(t, work => keys.transaction(work, 'mine'))
      await assert.rejects(held.tx.get('session', ['busy']), { code: 'ERR_CASK_LOCK_TIMEOUT' })
      return held
    }],
    'by a deadlock': ['ERR_CASK_DEADLOCK', LIMITS, async (t, { keys, holder }) => {
      const held = await heldOpen(t, work => keys.transaction(work, 'mine'))
      holder.tx.transaction(async () => {}, 'mine').catch(() => {})
      await assert.rejects(held.tx.get('session', ['busy']), { code: 'ERR_CASK_DEADLOCK' })
      return held
    }],
    'by its signal': ['ERR_CASK_ABORTED', LIMITS, async (t, { keys }) => {
      const controller = new AbortController()
      const held = await heldOpen(t, work => keys.transaction(work, 'mine', { signal: controller.signal }))
      controller.abort()
      return held
    }],
    'by its timeoutMs': ['ERR_CASK_TRANSACTION_TIMEOUT', LIMITS, async (t, { keys }) => {
      const held = await heldOpen(t, work => keys.transaction(work, 'mine', { timeoutMs: 20 }))
      await soon('the time-out', assert.rejects(held.ended))
      return held
    }],
    'by transactionTimeoutMs, later': ['ERR_CASK_TRANSACTION_TIMEOUT', LIMITS, (t, { keys }) => heldOpen(t, work => keys.transaction(work, 'mine'))],
    'by a drop of its account': ['ERR_CASK_DROPPED', LIMITS, async (t, { account }) => {
      const held = await heldOpen(t, work => account.keys.transaction(work, 'mine'))
      await account.drop()
      return held
    }],
  }
  for (const [how, [code, options, doom]] of Object.entries(DOOMS)) for (const nested of [false, true]) {
    test(`${how}${nested ? ', with a child that hangs, too' : ''}`, async t => {
      const handles = await twoHandles(t, options)
      let child
      const keys = nested
        ? { ...handles.keys, transaction: (work, ...rest) => handles.keys.transaction(async tx => { child = await heldOpen(t, part => tx.transaction(part)); return work(tx) }, ...rest) }
        : handles.keys
      const held = await doom(t, { ...handles, keys, account: { ...handles.account, keys } })
      await soon('close', handles.cask.close())
      // What it calls after that is refused, and its promise does not stay open for ever once its work ends.
      const { error } = await outcome(held.tx.set({ session: { late: 1 } }))
      assert.ok(error, 'it writes after the cask was closed')
      child?.leave()
      held.leave()
      assert.equal((await soon('its end', outcome(held.ended))).error?.code, code)
      if (child) assert.ok((await soon('the inner end', outcome(child.ended))).error)
    })
  }

  test('where no limit would ever give it up', async t => {
    const { cask, keys } = await twoHandles(t, { transactionTimeoutMs: 0, lockTimeoutMs: 20 })
    const held = await heldOpen(t, work => keys.transaction(work))
    await assert.rejects(held.tx.get('session', ['busy']), { code: 'ERR_CASK_LOCK_TIMEOUT' })
    await soon('close', cask.close())
    held.leave()
    await soon('its end', assert.rejects(held.ended, { code: 'ERR_CASK_LOCK_TIMEOUT' }))
  })
})
