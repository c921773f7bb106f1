import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { ambientCalls, handleCalls } from './helpers/calls.mjs'
import { open, recordsOf } from './helpers/casks.mjs'
import { gate, isPending, until, within } from './helpers/gate.mjs'
import { heldOpen, outcome, reasonOf } from './helpers/held-open.mjs'

const SOON_MS = 10_000
const LIMIT_MS = 40
const soon = (what, promise) => within(SOON_MS, what, promise)
const stages = tx => tx.set({ session: { staged: 1 } })

/** Ways to doom a transaction whose work still runs: each gives the transaction, and waits until it is doomed. */
const DOOMS = {
  'a call that waited for too long': ['ERR_CASK_LOCK_TIMEOUT', { lockTimeoutMs: LIMIT_MS }, async (t, keys) => {
    await heldOpen(t, work => keys.transaction(work), tx => tx.set({ session: { busy: 1 } }))
    const held = await heldOpen(t, work => keys.transaction(work, 'label'), stages)
    await assert.rejects(held.tx.get('session', ['busy']), { code: 'ERR_CASK_LOCK_TIMEOUT' })
    return held
  }],
  'an ambient call that waited for too long': ['ERR_CASK_LOCK_TIMEOUT', { lockTimeoutMs: LIMIT_MS }, async (t, keys) => {
    await heldOpen(t, work => keys.transaction(work), tx => tx.set({ session: { busy: 1 } }))
    const held = await heldOpen(t, work => keys.transaction(work, 'label'), stages)
    await held.inside(() => assert.rejects(keys.set({ session: { busy: 2 } }), { code: 'ERR_CASK_LOCK_TIMEOUT' }))
    return held
  }],
  'a deadlock': ['ERR_CASK_DEADLOCK', {}, async (t, keys) => {
    const other = await heldOpen(t, work => keys.transaction(work), tx => tx.set({ session: { busy: 1 } }))
    const held = await heldOpen(t, work => keys.transaction(work, 'label'), stages)
    other.tx.get('session', ['staged']).catch(() => {})
    await assert.rejects(held.tx.get('session', ['busy']), { code: 'ERR_CASK_DEADLOCK' })
    return Object.assign(held, { other })
  }],
  transactionTimeoutMs: ['ERR_CASK_TRANSACTION_TIMEOUT', { transactionTimeoutMs: LIMIT_MS }, async (t, keys) => {
    const held = await heldOpen(t, work => keys.transaction(work, 'label'), stages)
    await soon('the time-out', assert.rejects(held.ended, { code: 'ERR_CASK_TRANSACTION_TIMEOUT' }))
    return held
  }],
  timeoutMs: ['ERR_CASK_TRANSACTION_TIMEOUT', {}, async (t, keys) => {
    const held = await heldOpen(t, work => keys.transaction(work, 'label', { timeoutMs: LIMIT_MS }), stages)
    await soon('the time-out', assert.rejects(held.ended, { code: 'ERR_CASK_TRANSACTION_TIMEOUT' }))
    return held
  }],
  'its signal': ['ERR_CASK_ABORTED', {}, async (t, keys) => {
    const controller = new AbortController()
    const held = await heldOpen(t, work => keys.transaction(work, 'label', { signal: controller.signal }), stages)
    controller.abort()
    return held
  }],
  'a drop of the account': ['ERR_CASK_DROPPED', {}, async (t, keys, account) => {
    const held = await heldOpen(t, work => keys.transaction(work, 'label'), stages)
    await account.drop()
    return held
  }],
}

for (const [name, [code, options, doom]] of Object.entries(DOOMS)) describe(`doomed by ${name}, while its work still runs`, () => {
  test('every call of its handle rejects with that code', async t => {
    const account = (await open(t, options)).account()
    const held = await doom(t, account.keys, account)
    for (const [call, make] of Object.entries(handleCalls(held.tx))) await soon(call, assert.rejects(make, { code }, call))
  })

  test('so does every ambient call, and nothing of all that is written', async t => {
    const cask = await open(t, options)
    const account = cask.account()
    const { keys } = account
    const held = await doom(t, keys, account)
    await held.inside(async () => {
      for (const [call, make] of Object.entries(ambientCalls(keys))) await soon(call, assert.rejects(make, { code }, call))
    })
    held.leave()
    await soon('the end', assert.rejects(held.ended, { code }))
    assert.deepEqual(await cask.account('default').keys.get('session', ['staged', 'zombie']), {})
  })

  test('its locks are free for others at once', async t => {
    const cask = await open(t, options)
    const held = await doom(t, cask.account().keys, cask.account())
    const { keys } = cask.account()
    // What a deadlock was about goes to the other side of it.
    held.other?.leave()
    await soon('the label', keys.transaction(async () => {}, 'label'))
    await soon('the record', keys.set({ session: { staged: 'of another' } }))
    held.leave()
    await assert.rejects(held.ended, { code })
    assert.deepEqual(await keys.get('session', ['staged']), { staged: 'of another' })
  })

  test('what runs inside it as a part of it is refused with that code, too', async t => {
    const account = (await open(t, options)).account()
    const { keys } = account
    const inner = gate()
    let child
    // The child begins first and is a part of what is doomed.
    const held = await doom(t, {
      ...keys,
      transaction: (work, ...rest) => keys.transaction(async tx => {
        if (rest[0] === 'label') {
          child = await heldOpen(t, part => tx.transaction(part, 'inner'))
          inner.open()
        }
        return work(tx)
      }, ...rest),
    }, account)
    await inner.opened
    await soon('get', assert.rejects(child.tx.get('session', ['a']), { code }))
    await soon('set', assert.rejects(child.tx.set({ session: { a: 1 } }), { code }))
    await child.inside(() => soon('an ambient get', assert.rejects(keys.get('session', ['a']), { code })))
    await child.inside(() => soon('an ambient set', assert.rejects(keys.set({ session: { a: 1 } }), { code })))
    child.leave()
    await soon('its end', assert.rejects(child.ended, { code }))
    held.leave()
    await soon('the end around it', assert.rejects(held.ended, { code }))
  })

  test('the first error stays: nothing that comes later replaces it', async t => {
    const account = (await open(t, options)).account()
    const held = await doom(t, account.keys, account)
    const first = reasonOf((await outcome(held.tx.get('session', ['a']))).error)
    await outcome(held.tx.set({ session: { a: 1 } }))
    await held.inside(() => outcome(account.keys.transaction(async () => {}, 'label')))
    await outcome(account.drop())
    const later = reasonOf((await outcome(held.tx.get('session', ['a']))).error)
    assert.equal(first.code, code)
    assert.equal(later, first)
    held.leave()
    const { error: last } = await soon('the end', outcome(held.ended))
    assert.equal(last, first)
  })
})

describe('creds', () => {
  test('saved by the work of a doomed transaction are committed: a rollback would put the disk behind memory', async t => {
    const account = (await open(t)).account()
    const controller = new AbortController()
    const held = await heldOpen(t, work => account.keys.transaction(work, 'label', { signal: controller.signal }), tx => tx.setCreds({ n: 'staged' }))
    controller.abort()
    await held.inside(() => soon('saveCreds', account.saveCreds({ n: 'saved' })))
    held.leave()
    await assert.rejects(held.ended, { code: 'ERR_CASK_ABORTED' })
    assert.deepEqual(await account.loadCreds(), { n: 'saved' })
  })
})

describe('an independent transaction and the one around it', () => {
  const independent = (t, around, options) => heldOpen(t, work => around.tx.transaction(work, 'child', { nested: 'independent', ...options }))
  const RECORD = id => [{ account: 'default', type: 'session', id }]

  async function bothWaiting(t) {
    const account = (await open(t, { lockTimeoutMs: LIMIT_MS })).account()
    const { keys } = account
    await heldOpen(t, work => keys.transaction(work), tx => tx.set({ session: { x: 1, y: 1 } }))
    const parent = await heldOpen(t, work => keys.transaction(work, 'parent'))
    return { keys, parent, child: await independent(t, parent) }
  }

  test('the inner one is not told the error of the outer one, though both have failed in the same way', async t => {
    const { parent, child } = await bothWaiting(t)
    const { error: ofParent } = await outcome(parent.tx.get('session', ['x']))
    const { error: ofChild } = await outcome(child.tx.get('session', ['y']))
    assert.deepEqual([ofParent.code, ofParent.records, ofChild.code, ofChild.records], ['ERR_CASK_LOCK_TIMEOUT', RECORD('x'), 'ERR_CASK_LOCK_TIMEOUT', RECORD('y')])
    assert.equal(reasonOf((await outcome(child.tx.get('session', ['a']))).error), ofChild)
    child.leave()
    assert.equal((await soon('the inner end', outcome(child.ended))).error, ofChild)
    parent.leave()
    assert.equal((await soon('the outer end', outcome(parent.ended))).error, ofParent)
  })

  test('the outer one is not told the error of the inner one', async t => {
    const { parent, child } = await bothWaiting(t)
    const { error: ofChild } = await outcome(child.tx.get('session', ['y']))
    assert.deepEqual(ofChild.records, RECORD('y'))
    child.leave()
    await assert.rejects(child.ended, ofChild)
    await parent.tx.set({ session: { a: 1 } })
    const { error: ofParent } = await outcome(parent.tx.get('session', ['x']))
    assert.deepEqual(ofParent.records, RECORD('x'))
    parent.leave()
    assert.equal((await soon('the outer end', outcome(parent.ended))).error, ofParent)
  })

  test('an inner failure that is caught leaves the outer one free to commit', async t => {
    const { keys, parent, child } = await bothWaiting(t)
    await assert.rejects(child.tx.get('session', ['y']), { code: 'ERR_CASK_LOCK_TIMEOUT' })
    child.leave()
    await assert.rejects(child.ended)
    await parent.tx.set({ session: { a: 1 } })
    parent.leave()
    await soon('the outer end', parent.ended)
    assert.deepEqual(await keys.get('session', ['a']), { a: 1 })
  })

  test('what dooms the outer one lets the inner one go on, and its commit stays', async t => {
    for (const [name, [code, options, doom]] of Object.entries(DOOMS)) {
      if (code === 'ERR_CASK_DROPPED') continue
      const account = (await open(t, options)).account()
      const { keys } = account
      let child
      const held = await doom(t, {
        ...keys,
        transaction: (work, ...rest) => keys.transaction(async tx => {
          if (rest[0] === 'label') child = await heldOpen(t, part => tx.transaction(part, undefined, { nested: 'independent' }))
          return work(tx)
        }, ...rest),
      }, account)
      await soon(`a set inside ${name}`, child.tx.set({ session: { kept: 1 } }))
      await child.inside(() => soon(`an ambient get inside ${name}`, keys.get('session', ['kept'])))
      child.leave()
      assert.equal(await soon(`the inner end inside ${name}`, child.ended), 'left')
      held.leave()
      await assert.rejects(held.ended, { code })
      assert.deepEqual(await recordsOf(keys, 'session'), [['kept', 1]], name)
    }
  })

  test('an abort of each is told to each with its own reason', async t => {
    const { keys } = (await open(t)).account()
    const [outer, inner] = [new AbortController(), new AbortController()]
    const parent = await heldOpen(t, work => keys.transaction(work, 'parent', { signal: outer.signal }))
    const child = await independent(t, parent, { signal: inner.signal })
    outer.abort('outer')
    assert.ok(await isPending(child.ended))
    inner.abort('inner')
    assert.equal((await outcome(parent.ended)).error.cause, 'outer')
    assert.equal((await outcome(child.ended)).error.cause, 'inner')
    assert.equal((await outcome(child.tx.get('session', ['a']))).error.cause, 'inner')
    assert.equal((await outcome(parent.tx.get('session', ['a']))).error.cause, 'outer')
  })

  test('a transaction of another account inside a doomed one commits, and its failure dooms nobody else', async t => {
    const cask = await open(t, { lockTimeoutMs: LIMIT_MS })
    const [a, b] = [cask.account('a').keys, cask.account('b').keys]
    const controller = new AbortController()
    await heldOpen(t, work => b.transaction(work), tx => tx.set({ session: { busy: 1 } }))
    const parent = await heldOpen(t, work => a.transaction(work, 'parent', { signal: controller.signal }))
    const [good, bad] = await parent.inside(() => Promise.all([heldOpen(t, work => b.transaction(work, 'good')), heldOpen(t, work => b.transaction(work, 'bad'))]))
    await assert.rejects(bad.tx.get('session', ['busy']), { code: 'ERR_CASK_LOCK_TIMEOUT' })
    await parent.tx.set({ session: { a: 1 } })
    controller.abort()
    await soon('a set', good.tx.set({ session: { kept: 1 } }))
    good.leave()
    await soon('the inner end', good.ended)
    await assert.rejects(parent.ended, { code: 'ERR_CASK_ABORTED' })
    assert.deepEqual(await b.get('session', ['kept']), { kept: 1 })
    await until('the locks of the failed one are free', () => !cask.locks().some(({ label }) => label === 'bad'))
  })
})
