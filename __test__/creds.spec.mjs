import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { inEveryPlace, open, recordsOf } from './helpers/casks.mjs'
import { isPending, within } from './helpers/gate.mjs'
import { startWorker } from './helpers/remote.mjs'
import { heldOpen, outcome } from './helpers/held-open.mjs'

const SOON_MS = 10_000
const soon = (what, promise) => within(SOON_MS, what, promise)

inEveryPlace(place => {
  const accountHere = async t => (await open(t, await place.optionsFor(t))).account()
  const staging = (t, account, creds, ...rest) => heldOpen(t, work => account.keys.transaction(work, ...rest), tx => tx.setCreds(creds))

  describe('saveCreds never joins', () => {
    test('it is committed at once, from every depth, and survives the rollback of all', async t => {
      const account = await accountHere(t)
      const { keys } = account
      let n = 0
      const saves = async () => {
        await soon('saveCreds', account.saveCreds({ n: ++n }))
        assert.deepEqual(await account.loadCreds(), { n })
      }
      await assert.rejects(keys.transaction(async tx => {
        await tx.set({ 'pre-key': { 1: 1 } })
        await saves()
        await tx.transaction(saves, 'inner')
        await tx.transaction(saves, 'inner', { nested: 'independent' })
        await tx.transactWith({ records: [{ type: 'pre-key', id: '1' }] }, saves)
        throw new Error('rolled back')
      }, 'label'), /rolled back/)
      assert.deepEqual([await account.loadCreds(), await recordsOf(keys, 'pre-key')], [{ n: 4 }, []])
    })

    test('it leaves no lock behind, and commits in the order of its calls', async t => {
      const cask = await open(t, await place.optionsFor(t))
      const account = cask.account()
      await account.keys.transaction(async () => {
        await soon('all', Promise.all(Array.from({ length: 20 }, (_, n) => account.saveCreds({ n }))))
        assert.deepEqual(await account.loadCreds(), { n: 19 })
        assert.deepEqual(cask.locks(), [])
      })
    })

    test('two transactions at once may both save creds: neither holds the lock for longer than its save', async t => {
      const account = await accountHere(t)
      const [one, other] = [await heldOpen(t, work => account.keys.transaction(work, 'a')), await heldOpen(t, work => account.keys.transaction(work, 'b'))]
      for (const held of [one, other, one]) await held.inside(() => soon('saveCreds', account.saveCreds({ of: held === one ? 'one' : 'other' })))
      assert.deepEqual(await account.loadCreds(), { of: 'one' })
    })
  })

  describe('where setCreds was called', () => {
    test('saveCreds replaces that value and commits with it', async t => {
      const account = await accountHere(t)
      await soon('saveCreds', account.saveCreds({ n: 'before' }))
      const held = await staging(t, account, { n: 'staged' })
      await held.inside(() => soon('saveCreds', account.saveCreds({ n: 'saved' })))
      assert.deepEqual(await account.loadCreds(), { n: 'before' })
      held.leave()
      await held.ended
      assert.deepEqual(await account.loadCreds(), { n: 'saved' })
    })

    test('it goes with a rollback, as what it replaced', async t => {
      const account = await accountHere(t)
      await soon('saveCreds', account.saveCreds({ n: 'before' }))
      await assert.rejects(account.keys.transaction(async tx => {
        await tx.setCreds({ n: 'staged' })
        await soon('saveCreds', account.saveCreds({ n: 'saved' }))
        throw new Error('rolled back')
      }), /rolled back/)
      assert.deepEqual(await account.loadCreds(), { n: 'before' })
    })

    test('a later setCreds replaces it in turn', async t => {
      const account = await accountHere(t)
      await account.keys.transaction(async tx => {
        await tx.setCreds({ n: 1 })
        await soon('saveCreds', account.saveCreds({ n: 2 }))
        await tx.setCreds({ n: 3 })
      })
      assert.deepEqual(await account.loadCreds(), { n: 3 })
    })

    for (const [depth, options] of Object.entries({ 'joins it': undefined, 'is independent': { nested: 'independent' } })) {
      test(`saveCreds in a transaction inside that ${depth} replaces the value around it, also where the inner one fails`, async t => {
        const account = await accountHere(t)
        await soon('saveCreds', account.saveCreds({ n: 'before' }))
        await account.keys.transaction(async tx => {
          await tx.setCreds({ n: 'staged' })
          await assert.rejects(account.keys.transaction(async () => {
            await soon('saveCreds', account.saveCreds({ n: 'saved' }))
            throw new Error('inner')
          }, 'inner', options), /inner/)
          assert.deepEqual(await account.loadCreds(), { n: 'before' })
        })
        assert.deepEqual(await account.loadCreds(), { n: 'saved' })
      })
    }

    test('setCreds of an inner transaction takes what saveCreds brings; an inner failure undoes both', async t => {
      const account = await accountHere(t)
      await soon('saveCreds', account.saveCreds({ n: 'before' }))
      const inner = fail => account.keys.transaction(async tx => {
        await tx.setCreds({ n: 'staged' })
        await soon('saveCreds', account.saveCreds({ n: 'saved' }))
        if (fail) throw new Error('inner')
      }, 'inner')
      await account.keys.transaction(async () => {
        await assert.rejects(inner(true), /inner/)
        // Nothing is staged any more: at once.
        await soon('saveCreds', account.saveCreds({ n: 'at once' }))
        assert.deepEqual(await account.loadCreds(), { n: 'at once' })
        await inner(false)
        assert.deepEqual(await account.loadCreds(), { n: 'at once' })
        await soon('saveCreds', account.saveCreds({ n: 'with the outer' }))
        assert.deepEqual(await account.loadCreds(), { n: 'at once' })
      })
      assert.deepEqual(await account.loadCreds(), { n: 'with the outer' })
    })
  })

  describe('the lock of the creds', () => {
    test('saveCreds from elsewhere waits for a transaction that has set them, and comes after its commit', async t => {
      const cask = await open(t, await place.optionsFor(t))
      const account = cask.account()
      const held = await staging(t, account, { n: 'staged' }, 'label')
      const elsewhere = await heldOpen(t, work => account.keys.transaction(work, 'other'))
      const saves = [account.saveCreds({ n: 'outside' }), elsewhere.inside(() => account.saveCreds({ n: 'from another transaction' }))]
      for (const save of saves) assert.ok(await isPending(save))
      const [lock] = cask.locks().filter(({ kind }) => kind === 'creds')
      assert.deepEqual([lock.holders.map(({ label, mode }) => [label, mode]), lock.waiters.length], [[['label', 'exclusive']], 2])
      held.leave()
      await soon('the end of all', Promise.all([held.ended, ...saves]))
      assert.deepEqual(await account.loadCreds(), { n: 'from another transaction' })
    })

    test('saveCreds that has waited is committed after a rollback', async t => {
      const account = await accountHere(t)
      const controller = new AbortController()
      const held = await staging(t, account, { n: 'staged' }, 'label', { signal: controller.signal })
      const save = account.saveCreds({ n: 'outside' })
      assert.ok(await isPending(save))
      controller.abort()
      await soon('saveCreds', save)
      assert.deepEqual(await account.loadCreds(), { n: 'outside' })
      held.leave()
      await assert.rejects(held.ended)
      assert.deepEqual(await account.loadCreds(), { n: 'outside' })
    })

    test('one transaction at a time may set them, and each sees what the one before has committed', async t => {
      const account = await accountHere(t)
      const held = await staging(t, account, { n: 1 })
      const second = account.keys.transaction(tx => tx.setCreds({ n: 2 }))
      assert.ok(await isPending(second))
      held.leave()
      await soon('both', Promise.all([held.ended, second]))
      assert.deepEqual(await account.loadCreds(), { n: 2 })
    })

    test('it is one with nothing else: records, lists, clear and other accounts go on', async t => {
      const cask = await open(t, await place.optionsFor(t))
      const account = cask.account()
      const held = await staging(t, account, { n: 'staged' })
      await soon('records', account.keys.set({ creds: { creds: 1 }, session: { creds: 1 } }))
      await soon('clear', account.keys.transaction(tx => tx.clear()))
      await soon('another account', cask.account('other').saveCreds({ n: 1 }))
      await soon('a read', account.loadCreds())
      assert.ok(await isPending(held.ended))
    })

    test('a circle through it is found, and nobody waits for ever', async t => {
      const account = await accountHere(t)
      const { keys } = account
      const one = await staging(t, account, { n: 'staged' }, 'one')
      const other = await heldOpen(t, work => keys.transaction(work, 'other'))
      const waits = outcome(one.tx.transaction(async () => 'got it', 'other'))
      assert.ok(await isPending(waits))
      const { error } = await soon('the deadlock', outcome(other.inside(() => account.saveCreds({ n: 'saved' }))))
      assert.deepEqual([error?.code, error?.label], ['ERR_CASK_DEADLOCK', 'other'])
      other.leave()
      await assert.rejects(other.ended, { code: 'ERR_CASK_DEADLOCK' })
      assert.deepEqual(await soon('the other side', waits), { value: 'got it' })
      one.leave()
      await soon('its end', one.ended)
      assert.deepEqual(await account.loadCreds(), { n: 'staged' })
    })
  })
})

test('the lock of the creds is one for all threads', async t => {
  const name = `creds ${process.pid}`
  const account = (await open(t, { name })).account()
  const worker = await startWorker(t)
  const there = worker.run(async ({ openCask, gate, say }, name) => {
    const account = (await openCask({ name })).account()
    await account.keys.transaction(async tx => {
      await tx.setCreds({ n: 'of the worker' })
      say('staged')
      await gate('leave')
    })
  }, name)
  await worker.heard('staged')
  const save = account.saveCreds({ n: 'of the main thread' })
  assert.ok(await isPending(save))
  worker.open('leave')
  await soon('both', Promise.all([there, save]))
  assert.deepEqual(await account.loadCreds(), { n: 'of the main thread' })
})
