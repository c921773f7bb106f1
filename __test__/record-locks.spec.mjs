// What each call inside a transaction locks, in which mode, and for how long.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { collect, inEveryPlace, open, openKeys, recordsOf } from './helpers/casks.mjs'
import { isPending, turns, within } from './helpers/gate.mjs'
import { codeOf, heldIn, retried, standing, waitedForIn } from './helpers/locks.mjs'
import { startWorker } from './helpers/remote.mjs'

const SOON_MS = 10_000
/** Families of which a transaction locks what it reads shared; all others it locks exclusively. */
const READ_MOSTLY = ['lid-mapping', 'device-list', 'identity-key', 'app-state-sync-key']
const EXCLUSIVE = ['pre-key', 'session', 'sender-key', 'sender-key-memory', 'app-state-sync-version', 'tctoken', 'other', 'a family of mine']

inEveryPlace(place => {
  const openHere = t => openKeys(t, place)
  /** What is locked after some calls of a transaction. */
  const lockedBy = async ({ cask, keys }, work, label, options) => {
    let held
    await keys.transaction(async tx => {
      await work(tx)
      held = heldIn(cask)
    }, label, options)
    assert.deepEqual(cask.locks(), [], 'locks are left behind')
    return held
  }

  describe('what a call locks', () => {
    test('a label, exclusively, and nothing without one', async t => {
      const here = await openHere(t)
      assert.deepEqual(await lockedBy(here, async () => {}, 'the label'), ['label the label exclusive'])
      assert.deepEqual(await lockedBy(here, async () => {}), [])
    })

    for (const family of [...READ_MOSTLY, ...EXCLUSIVE]) {
      const mode = READ_MOSTLY.includes(family) ? 'shared' : 'exclusive'
      test(`${family}: read ${mode}, written exclusively`, async t => {
        const here = await openHere(t)
        await here.keys.set({ [family]: { a: 'there' } })
        assert.deepEqual(await lockedBy(here, tx => tx.get(family, ['a'])), [`record ${family} a ${mode}`])
        assert.deepEqual(await lockedBy(here, tx => tx.get(family, ['absent'])), [`record ${family} absent ${mode}`])
        assert.deepEqual(await lockedBy(here, tx => tx.get(family, ['b', 'a', 'b'])), [`record ${family} a ${mode}`, `record ${family} b ${mode}`])
        assert.deepEqual(await lockedBy(here, () => here.keys.get(family, ['a'])), [`record ${family} a ${mode}`], 'an ambient read')
        for (const value of ['new', null, undefined]) {
          assert.deepEqual(await lockedBy(here, tx => tx.set({ [family]: { a: value } })), [`record ${family} a exclusive`])
        }
        const both = async tx => { await tx.get(family, ['a']); await tx.set({ [family]: { a: 'new' } }); await tx.get(family, ['a']) }
        assert.deepEqual(await lockedBy(here, both), [`record ${family} a exclusive`])
      })
    }

    test('list and listIds the family, shared; clear the account; setCreds the creds', async t => {
      const here = await openHere(t)
      for (const family of ['session', 'lid-mapping', 'a family of mine']) {
        await here.keys.set({ [family]: { a: 'there', b: 'there' } })
        assert.deepEqual(await lockedBy(here, tx => collect(tx.list(family))), [`family ${family} shared`])
        assert.deepEqual(await lockedBy(here, tx => collect(tx.listIds(family))), [`family ${family} shared`])
        assert.deepEqual(await lockedBy(here, () => collect(here.keys.listIds(family))), [`family ${family} shared`], 'an ambient list')
      }
      assert.deepEqual(await lockedBy(here, tx => tx.clear()), ['account exclusive'])
      assert.deepEqual(await lockedBy(here, tx => tx.setCreds({ a: 1 })), ['creds exclusive'])
    })

    test('a set over several families each of its records, and what names no record nothing', async t => {
      const here = await openHere(t)
      assert.deepEqual(
        await lockedBy(here, tx => tx.set({ session: { b: 1, a: null }, 'lid-mapping': { a: 'x' } })),
        ['record lid-mapping a exclusive', 'record session a exclusive', 'record session b exclusive'],
      )
      assert.deepEqual(await lockedBy(here, async tx => { await tx.get('session', []); await tx.set({}); await tx.set({ session: {} }) }), [])
    })

    test('a set that is refused for its value locks nothing, not even its other records', async t => {
      const here = await openHere(t)
      assert.deepEqual(await lockedBy(here, tx => assert.rejects(tx.set({ other: { good: 1 }, session: { bad: NaN } }), TypeError)), [])
    })

    test('locks() says whose it is: account and label, not of another account', async t => {
      const { cask } = await openHere(t)
      await cask.account('mine').keys.transaction(async tx => {
        await tx.get('session', ['a'])
        const [label, record] = cask.locks()
        assert.deepEqual([label.kind, label.account, label.label, record.kind, record.account, record.type, record.id], ['label', 'mine', 'the label', 'record', 'mine', 'session', 'a'])
        for (const { holders: [holder] } of [label, record]) assert.deepEqual([holder.account, holder.label, holder.mode, holder.thread], ['mine', 'the label', 'exclusive', 0])
      }, 'the label')
    })
  })

  describe('what that keeps out', () => {
    /** Whether `other` waits for a transaction that has done `first`; both end well after all. */
    const waitsFor = async ({ keys }, first, other) => {
      const one = standing(work => keys.transaction(work), first)
      await one.entered
      const two = keys.transaction(other)
      const waits = await isPending(two)
      await one.end()
      await within(SOON_MS, 'the second transaction', two)
      return waits
    }

    test('a read-mostly record: readers run together, a writer waits for them and they for it', async t => {
      const here = await openHere(t)
      const read = tx => tx.get('lid-mapping', ['1'])
      const write = tx => tx.set({ 'lid-mapping': { 1: '2' } })
      assert.equal(await waitsFor(here, read, read), false)
      assert.equal(await waitsFor(here, read, write), true)
      assert.equal(await waitsFor(here, write, read), true)
      assert.equal(await waitsFor(here, write, write), true)
    })

    test('any other record: whoever reads it has it for itself', async t => {
      const here = await openHere(t)
      const read = tx => tx.get('session', ['1'])
      const write = tx => tx.set({ session: { 1: 2 } })
      for (const first of [read, write]) for (const second of [read, write]) assert.equal(await waitsFor(here, first, second), true)
      assert.equal(await waitsFor(here, read, tx => tx.get('session', ['2', '3'])), false, 'another record')
      assert.equal(await waitsFor(here, read, tx => tx.get('session', ['2', '1'])), true, 'one of several')
    })

    test('creds: setCreds waits for setCreds, and saveCreds for both', async t => {
      const { cask } = await openHere(t)
      const account = cask.account()
      const one = standing(work => account.keys.transaction(work), tx => tx.setCreds({ n: 1 }))
      await one.entered
      const two = account.keys.transaction(tx => tx.setCreds({ n: 2 }))
      assert.ok(await isPending(two))
      const saved = account.saveCreds({ n: 3 })
      assert.ok(await isPending(saved))
      assert.equal(await account.loadCreds(), undefined, 'a load does not wait')
      await one.end()
      await Promise.all([two, saved])
      assert.deepEqual(await account.loadCreds(), { n: 3 })
    })

    test('increments under different labels and under none are all counted, with waits and without deadlocks', async t => {
      const { cask, keys } = await openHere(t)
      let victims = 0
      await Promise.all(Array.from({ length: 40 }, async (_, n) => {
        victims += await retried(() => keys.transaction(async tx => {
          const { count = 0 } = await (n % 2 ? tx : keys).get('session', ['count'])
          await turns(1)
          await (n % 3 ? tx : keys).set({ session: { count: count + 1 } })
        }, n % 4 ? `label ${n}` : undefined))
      }))
      assert.equal(victims, 0)
      assert.deepEqual(await keys.get('session', ['count']), { count: 40 })
      assert.deepEqual(cask.locks(), [])
    })

    test('increments of a read-mostly record are all counted where victims are retried', async t => {
      const { cask, keys } = await openHere(t)
      let victims = 0
      await Promise.all(Array.from({ length: 12 }, async () => {
        victims += await retried(() => keys.transaction(async tx => {
          const { count = 0 } = await tx.get('device-list', ['count'])
          await turns(1)
          await tx.set({ 'device-list': { count: count + 1 } })
        }))
      }))
      assert.ok(victims > 0, 'readers who all write cannot all have been right')
      assert.deepEqual(await keys.get('device-list', ['count']), { count: 12 })
      assert.deepEqual(cask.locks(), [])
    })

    test('what was read stays what it is: the second read in a transaction gives the same, also of absent records', async t => {
      const { keys } = await openHere(t)
      for (const family of ['session', 'identity-key']) {
        await keys.set({ [family]: { there: 1 } })
        const one = standing(work => keys.transaction(work), tx => tx.get(family, ['there', 'absent']), tx => tx.get(family, ['there', 'absent']))
        await one.entered
        const changes = [keys.transaction(tx => tx.set({ [family]: { there: 2 } })), keys.set({ [family]: { absent: 2 } })]
        await turns()
        assert.deepEqual(await one.end(), { there: 1 })
        await Promise.all(changes)
        assert.deepEqual(await keys.get(family, ['there', 'absent']), { there: 2, absent: 2 })
      }
    })
  })

  describe('how long', () => {
    test('everything is held to the outermost end, whatever ended inside', async t => {
      const { cask, keys } = await openHere(t)
      const all = [
        'family tctoken shared', 'label inner exclusive', 'label outer exclusive', 'record lid-mapping a shared',
        'record session a exclusive', 'record session b exclusive', 'record session c exclusive',
      ]
      const one = standing(work => keys.transaction(work, 'outer'), async tx => {
        await tx.get('session', ['a'])
        await tx.transaction(async inner => {
          await inner.set({ session: { b: 1 } })
          await inner.get('lid-mapping', ['a'])
          await inner.transaction(async deepest => {
            await deepest.get('session', ['c'])
            await collect(deepest.listIds('tctoken'))
          })
        }, 'inner')
      })
      await one.entered
      assert.deepEqual(heldIn(cask), all)
      const others = [
        keys.transaction(async () => {}, 'inner'), keys.transaction(tx => tx.get('session', ['b'])), keys.transaction(tx => tx.get('session', ['c'])),
        keys.set({ session: { a: 2 } }), keys.set({ 'lid-mapping': { a: '2' } }), keys.set({ tctoken: { new: 2 } }),
      ]
      for (const other of others) assert.ok(await isPending(other))
      await one.end()
      await within(SOON_MS, 'all others', Promise.all(others))
      assert.deepEqual(cask.locks(), [])
    })

    test('a rollback frees everything, and so does a throw before anything was locked', async t => {
      const { cask, keys } = await openHere(t)
      await assert.rejects(keys.transaction(async tx => {
        await tx.get('session', ['a'])
        await tx.clear()
        await collect(tx.list('lid-mapping'))
        throw new Error('mine')
      }, 'label'), /^Error: mine$/)
      assert.deepEqual(cask.locks(), [])
      await assert.rejects(keys.transaction(() => { throw new Error('mine') }, 'label'), /^Error: mine$/)
      assert.deepEqual(cask.locks(), [])
    })

    test('locks are held until the commit is there: who comes next reads what was written', async t => {
      const { keys } = await openHere(t)
      for (let n = 1; n <= 20; n++) {
        const writing = keys.transaction(tx => tx.set({ session: { a: n } }))
        const reading = keys.transaction(tx => tx.get('session', ['a']))
        assert.deepEqual(await reading, { a: n })
        await writing
      }
    })
  })

  describe('the order in one call', () => {
    test('the records of a set and of a get are taken in sorted order, one after the other', async t => {
      const { cask, keys } = await openHere(t)
      for (const call of [tx => tx.get('session', ['c', 'b', 'a', 'd']), tx => tx.set({ session: { d: 1, c: 1, a: 1, b: 1 } })]) {
        const middle = standing(work => keys.transaction(work), tx => tx.get('session', ['b']))
        await middle.entered
        const one = keys.transaction(call)
        assert.ok(await isPending(one))
        assert.deepEqual(heldIn(cask), ['record session a exclusive', 'record session b exclusive'])
        assert.deepEqual(waitedForIn(cask), ['record session b exclusive'])
        // It has not come to these yet.
        await within(SOON_MS, 'those behind', keys.transaction(tx => tx.get('session', ['c', 'd'])))
        await middle.end()
        await one
      }
    })

    test('calls that name the same records in any order never meet half-way', async t => {
      const { cask, keys } = await openHere(t)
      const ids = ['a', 'b', 'c', 'd', 'e']
      const turned = n => [...ids.slice(n % 5), ...ids.slice(0, n % 5)]
      const calls = [
        (tx, n) => tx.get('session', turned(n)),
        (tx, n) => tx.set({ session: Object.fromEntries(turned(n).map(id => [id, n])) }),
        (tx, n) => tx.set(n % 2 ? { session: { a: n, b: n }, 'sender-key': { a: n } } : { 'sender-key': { a: n }, session: { b: n, a: n } }),
      ]
      const codes = await within(SOON_MS, 'all', Promise.all(Array.from({ length: 60 }, (_, n) => codeOf(keys.transaction(async tx => {
        await calls[n % 3](tx, n)
        await turns(1)
      })))))
      assert.deepEqual([...new Set(codes)], ['ended'])
      assert.deepEqual(cask.locks(), [])
    })
  })
})

describe('the whole of a batch', () => {
  // A get that took its records one by one would see one batch in its first record and the next one in its second.
  test('a get of several ids inside a transaction sees each batch whole, whatever its isolation', async t => {
    const options = { name: `whole batches ${process.pid}` }
    const { keys } = (await open(t, options)).account()
    const ids = ['a', 'b', 'c']
    await keys.set({ session: { a: 0, b: 0, c: 0 }, 'lid-mapping': { a: '0', b: '0', c: '0' } })
    const worker = await startWorker(t)
    const writing = worker.run(async ({ openCask }, options) => {
      const cask = await openCask(options)
      const { keys } = cask.account()
      const batch = n => ({ session: { a: n, b: n, c: n }, 'lid-mapping': { c: String(n), b: String(n), a: String(n) } })
      for (let n = 1; n <= 1500; n++) {
        if (n % 2) await keys.set(batch(n))
        else await keys.transaction(tx => tx.set(batch(n)))
      }
      await cask.close()
    }, options)
    let done = false
    writing.finally(() => (done = true)).catch(() => {})
    const seen = new Set()
    for (let n = 0; !done; n++) {
      for (const isolation of ['record', 'label']) {
        for (const family of ['session', 'lid-mapping']) {
          const found = await keys.transaction(tx => tx.get(family, n % 2 ? ids : ids.toReversed()), undefined, { isolation })
          assert.equal(new Set(Object.values(found)).size, 1, `half a batch: ${JSON.stringify(found)}`)
          seen.add(found.a)
        }
      }
      await turns(1)
    }
    await writing
    assert.ok(seen.size > 2)
    assert.deepEqual(await recordsOf(keys, 'session'), ids.map(id => [id, 1500]))
  })
})
