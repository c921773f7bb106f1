import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { detached } from 'baileys-cask'
import { open, recordsOf } from './helpers/casks.mjs'
import { isPending, turns, within } from './helpers/gate.mjs'
import { startWorker } from './helpers/remote.mjs'
import { doomedInside, heldOpen, outcome } from './helpers/held-open.mjs'

const SOON_MS = 10_000
const soon = (what, promise) => within(SOON_MS, what, promise)
const DROPPED = { name: 'CaskError', code: 'ERR_CASK_DROPPED', retryable: false, account: 'x' }
let names = 0

/** Transactions by what they hold when their account is dropped. */
const HOLDERS = {
  'holds nothing and has made no call': keys => work => keys.transaction(work),
  'holds its label': keys => work => keys.transaction(work, 'label'),
  'holds a record': keys => work => keys.transaction(async tx => { await tx.set({ session: { a: 2 } }); return work(tx) }),
  'has read without locks': keys => work => keys.transaction(async tx => { await tx.get('session', ['a']); return work(tx) }, undefined, { isolation: 'label' }),
  'has staged without locks': keys => work => keys.transaction(async tx => { await tx.set({ session: { a: 2 } }); return work(tx) }, undefined, { isolation: 'label' }),
  'has limits': keys => work => keys.transaction(work, undefined, { timeoutMs: 60_000, signal: new AbortController().signal }),
}

for (const through of ['the same handle', 'another handle of the same store']) describe(`drop() through ${through}`, () => {
  async function handles(t) {
    const name = `dropping ${process.pid} ${names++}`
    const cask = await open(t, { name })
    const other = through === 'the same handle' ? cask : await open(t, { name })
    const account = cask.account('x')
    await account.keys.set({ session: { a: 1 } })
    return { cask, account, keys: account.keys, drop: () => other.account('x').drop() }
  }

  for (const [what, begin] of Object.entries(HOLDERS)) {
    test(`dooms a transaction that ${what}: it rejects at once, though its work goes on, and commits nothing`, async t => {
      const { cask, keys, drop } = await handles(t)
      const held = await heldOpen(t, begin(keys))
      await drop()
      await soon('its end', assert.rejects(held.ended, DROPPED))
      await assert.rejects(held.tx.get('session', ['a']), DROPPED)
      await assert.rejects(held.tx.set({ session: { a: 3 } }), DROPPED)
      await held.inside(() => assert.rejects(keys.set({ session: { a: 3 } }), DROPPED))
      held.leave()
      await turns()
      assert.deepEqual([await cask.accounts(), cask.locks()], [[], []])
    })

    test(`a transaction that ${what} and ends then is refused its commit`, async t => {
      const { cask, keys, drop } = await handles(t)
      const held = await heldOpen(t, begin(keys))
      const dropped = drop()
      held.leave()
      await soon('its end', assert.rejects(held.ended, DROPPED))
      await dropped
      assert.deepEqual(await cask.accounts(), [])
    })
  }

  test('dooms what waits: for a label, for records, inside, and outside of all', async t => {
    const { cask, account, keys, drop } = await handles(t)
    await heldOpen(t, work => keys.transaction(work, 'label'), async tx => { await tx.set({ session: { a: 2 } }); await tx.setCreds({}) })
    let begun = 0
    const work = async () => begun++
    const waits = [
      keys.transaction(work, 'label'), keys.transactWith({ records: [{ type: 'session', id: 'a' }] }, work), keys.transaction(tx => tx.get('session', ['a'])),
      keys.set({ session: { a: 3 } }), keys.clear(), account.saveCreds({ n: 1 }),
    ].map(outcome)
    assert.ok(await isPending(Promise.race(waits)))
    await drop()
    assert.deepEqual((await soon('all', Promise.all(waits))).map(({ error }) => error?.code), waits.map(() => 'ERR_CASK_DROPPED'))
    await turns()
    assert.deepEqual([begun, await cask.accounts(), cask.locks()], [0, [], []])
  })

  test('dooms what runs inside its transactions: joined, independent, and two deep', async t => {
    const { keys, drop } = await handles(t)
    const outer = await heldOpen(t, work => keys.transaction(work))
    const joined = await heldOpen(t, work => outer.tx.transaction(work))
    const independent = await heldOpen(t, work => outer.tx.transaction(work, undefined, { nested: 'independent' }))
    const deep = await heldOpen(t, work => independent.tx.transaction(work, 'deep'))
    await drop()
    for (const held of [deep, independent, joined, outer]) {
      await assert.rejects(held.tx.get('session', ['a']), DROPPED)
      held.leave()
      await soon('an end', assert.rejects(held.ended, DROPPED))
    }
  })

  test('leaves other accounts alone, inside and around', async t => {
    const { cask, keys, drop } = await handles(t)
    const other = cask.account('other').keys
    const outer = await heldOpen(t, work => other.transaction(work, 'outer'))
    const middle = await outer.inside(() => heldOpen(t, work => keys.transaction(work, 'middle')))
    const inner = await middle.inside(() => heldOpen(t, work => other.transaction(work, 'inner')))
    const apart = await middle.inside(() => heldOpen(t, work => cask.account('third').keys.transaction(work)))
    await drop()
    await soon('its end', assert.rejects(middle.ended, DROPPED))
    await inner.tx.set({ session: { inner: 1 } })
    await apart.tx.set({ session: { apart: 1 } })
    for (const held of [inner, apart, outer]) {
      held.leave()
      await soon('an end', held.ended)
    }
    assert.deepEqual([await recordsOf(other, 'session'), await recordsOf(cask.account('third').keys, 'session')], [[['inner', 1]], [['apart', 1]]])
  })

  test('a new handle begins anew: its labels and records are free, whatever still runs on the old one', async t => {
    const { cask, keys, drop } = await handles(t)
    const held = await heldOpen(t, work => keys.transaction(work, 'label'), tx => tx.set({ session: { a: 2 } }))
    await drop()
    const fresh = cask.account('x').keys
    await soon('a transaction', fresh.transaction(tx => tx.set({ session: { b: 1 } }), 'label'))
    held.leave()
    await soon('the old end', assert.rejects(held.ended, DROPPED))
    assert.deepEqual(await recordsOf(fresh, 'session'), [['b', 1]])
  })
})

test('drop() inside of a transaction of the account is outside of it where it is detached', async t => {
  const account = (await open(t)).account('x')
  const held = await heldOpen(t, work => account.keys.transaction(work))
  await held.inside(() => assert.rejects(account.drop(), { code: 'ERR_CASK_INVALID_ARGUMENT' }))
  await held.tx.set({ session: { a: 1 } })
  await held.inside(() => soon('drop', detached(() => account.drop())))
  held.leave()
  await soon('its end', assert.rejects(held.ended, DROPPED))
})

test('drop() inside of a transaction of the account that is doomed is as good as outside, but not inside of another one around it', async t => {
  const account = (await open(t)).account('x')
  const { outer, inner } = await doomedInside(t, account.keys, account.keys)
  await inner.inside(() => assert.rejects(account.drop(), { code: 'ERR_CASK_INVALID_ARGUMENT' }))
  outer.leave()
  await outer.ended
  await inner.inside(() => soon('drop', account.drop()))
  assert.equal(await account.loadCreds().catch(error => error.code), 'ERR_CASK_DROPPED')
})

test('drop() dooms transactions of other threads: those that hold locks, those that hold none, and those that wait', async t => {
  const name = `dropping ${process.pid} ${names++}`
  const cask = await open(t, { name })
  const account = cask.account('x')
  await account.keys.set({ session: { a: 1 } })
  const worker = await startWorker(t)
  await worker.run(async ({ openCask, kept, gate }, name) => {
    const { keys } = (await openCask({ name })).account('x')
    const begin = {
      'holds its label': work => keys.transaction(work, 'label'),
      'holds a record': work => keys.transaction(async tx => { await tx.set({ session: { a: 2 } }); return work(tx) }),
      'holds nothing and makes no call': work => keys.transaction(work),
      'has staged without locks': work => keys.transaction(async tx => { await tx.set({ session: { b: 2 } }); return work(tx) }, undefined, { isolation: 'label' }),
    }
    kept.calls = {}
    kept.ended = []
    for (const [what, transaction] of Object.entries(begin)) {
      await new Promise(entered => kept.ended.push(transaction(async tx => {
        kept.calls[what] = () => tx.get('session', ['c']).then(() => 'read', ({ code }) => code)
        entered()
        await gate('leave')
      }).then(() => `${what}: committed`, ({ code }) => code)))
    }
    kept.begun = 0
    kept.waits = keys.transaction(async () => kept.begun++, 'label').then(() => 'committed', ({ code }) => code)
  }, name)
  await soon('drop', account.drop())
  const code = 'ERR_CASK_DROPPED'
  assert.equal(await soon('the one that waits', worker.run(({ kept }) => kept.waits)), code)
  assert.equal(await worker.run(({ kept }) => kept.calls['holds its label']()), code)
  assert.equal(await worker.run(({ kept }) => kept.calls['holds a record']()), code)
  assert.equal(await worker.run(({ kept }) => kept.calls['has staged without locks']()), code)
  worker.open('leave')
  assert.deepEqual(await soon('the ends', worker.run(({ kept }) => Promise.all(kept.ended))), [code, code, code, code])
  assert.deepEqual([await worker.run(({ kept }) => kept.begun), await cask.accounts(), cask.locks()], [0, [], []])
})
