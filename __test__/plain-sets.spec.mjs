// Plain sets and gets, outside of all transactions, beside transactions.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { detached } from 'baileys-cask'
import { collect, inEveryPlace, openKeys, recordsOf } from './helpers/casks.mjs'
import { afterwards } from './helpers/cleanup.mjs'
import { isPending, turns, within } from './helpers/gate.mjs'
import { codeOf, heldIn, retried, standing, waitedForIn } from './helpers/locks.mjs'

const SOON_MS = 5000
/** A set of so many records waits for one of them: few, as many as a list of names holds, and more than that. */
const SIZES = [2, 300, 5000]

/** Records of one family, and of another one, by id. */
const many = (size, value) => Object.fromEntries(Array.from({ length: size }, (_, n) => [`id ${n}`, value]))

inEveryPlace(place => {
  const openHere = t => openKeys(t, place)

  describe('a plain get', () => {
    test('never waits, whatever is locked, and reads what is committed', async t => {
      const { cask, keys } = await openHere(t)
      await keys.set({ session: { a: 'old', b: 'old' }, 'lid-mapping': { a: 'old' } })
      for (const before of [
        tx => tx.set({ session: { a: 'staged', b: null }, 'lid-mapping': { a: 'staged' } }),
        tx => tx.clear(),
        async tx => { await tx.get('session', ['a', 'b']); await collect(tx.list('session')) },
      ]) {
        const one = standing(work => keys.transaction(work, 'label').catch(() => {}), before, () => { throw new Error('undone') })
        await one.entered
        const waiting = [keys.set({ session: { a: 'old' } }), keys.transaction(tx => tx.get('session', ['a']))]
        const locks = heldIn(cask)
        assert.deepEqual(await within(SOON_MS, 'a get', keys.get('session', ['a', 'b'])), { a: 'old', b: 'old' })
        assert.deepEqual(await within(SOON_MS, 'a get', keys.get('lid-mapping', ['a'])), { a: 'old' })
        assert.deepEqual(heldIn(cask), locks, 'and takes no lock')
        await one.end()
        await Promise.all(waiting)
      }
    })

    test('does not wait for a plain set that waits, and does not see it', async t => {
      const { keys } = await openHere(t)
      await keys.set({ session: { a: 'old', b: 'old' } })
      const one = standing(work => keys.transaction(work), tx => tx.get('session', ['a']))
      await one.entered
      const waiting = keys.set({ session: { a: 'new', b: 'new' } })
      assert.ok(await isPending(waiting))
      assert.deepEqual(await within(SOON_MS, 'a get', keys.get('session', ['a', 'b'])), { a: 'old', b: 'old' })
      await one.end()
      await waiting
      assert.deepEqual(await keys.get('session', ['a', 'b']), { a: 'new', b: 'new' })
    })
  })

  describe('a plain set', () => {
    test('waits for whoever has locked one of its records, reader or writer, and for nobody else', async t => {
      const { keys } = await openHere(t)
      for (const [before, waits] of [
        [tx => tx.get('session', ['a']), true],
        [tx => tx.set({ session: { a: 1 } }), true],
        [tx => tx.get('lid-mapping', ['a']), true],
        [tx => collect(tx.listIds('session')), true],
        [tx => tx.clear(), true],
        [tx => tx.get('session', ['other', 'c']), false],
        [tx => tx.get('sender-key', ['a']), false],
        [tx => tx.get('lid-mapping', ['b']), false],
        [tx => collect(tx.listIds('sender-key')), false],
        [tx => tx.setCreds({ a: 1 }), false],
      ]) {
        const one = standing(work => keys.transaction(work, 'session'), before)
        await one.entered
        const set = keys.set({ session: { a: 2, b: 2 }, 'lid-mapping': { a: '2' } })
        if (waits) assert.ok(await isPending(set), `${before} did not keep it out`)
        else await within(SOON_MS, `a set beside ${before}`, set)
        await one.end()
        await within(SOON_MS, 'the set', set)
        assert.deepEqual(await keys.get('session', ['a', 'b']), { a: 2, b: 2 })
      }
    })

    test('holds nothing while it waits, and queues for all its records', async t => {
      const { cask, keys } = await openHere(t)
      const one = standing(work => keys.transaction(work), tx => tx.get('session', ['b']))
      await one.entered
      const set = keys.set({ session: { a: 1, b: 1, c: 1 } })
      assert.ok(await isPending(set))
      assert.deepEqual(heldIn(cask), ['record session b exclusive'])
      assert.deepEqual(waitedForIn(cask), ['a', 'b', 'c'].map(id => `record session ${id} exclusive`))
      const [waiter] = cask.locks().find(({ id }) => id === 'a').waiters
      assert.equal(waiter.label, undefined)
      // It came first: whoever comes now for one of the others is behind it.
      const later = keys.transaction(tx => tx.get('session', ['a']))
      assert.ok(await isPending(later))
      await one.end()
      assert.deepEqual(await later, { a: 1 })
      await set
      assert.deepEqual(cask.locks(), [])
    })

    test('takes its records together: it is not there before the last of them is free', async t => {
      const { cask, keys } = await openHere(t)
      const both = ['a', 'b'].map(id => standing(work => keys.transaction(work), tx => tx.get('session', [id])))
      for (const { entered } of both) await entered
      const set = keys.set({ session: { a: 1, b: 1 } })
      await both[0].end()
      assert.ok(await isPending(set))
      assert.deepEqual(await keys.get('session', ['a', 'b']), {})
      assert.deepEqual(heldIn(cask), ['record session b exclusive'], 'the freed record is not taken alone')
      await both[1].end()
      await set
      assert.deepEqual(await keys.get('session', ['a', 'b']), { a: 1, b: 1 })
    })

    test('a holder that wants a record for which a set waits goes first: the set waits for it anyway', async t => {
      const { keys } = await openHere(t)
      let set
      await within(SOON_MS, 'the holder', keys.transaction(async tx => {
        await tx.get('session', ['a'])
        set = detached(() => keys.set({ session: { a: 'set', b: 'set' } }))
        await turns()
        await tx.set({ session: { b: 'tx' } })
        assert.deepEqual(await keys.get('session', ['b']), { b: 'tx' })
      }))
      await set
      assert.deepEqual(await keys.get('session', ['a', 'b']), { a: 'set', b: 'set' })
    })

    test('sets of overlapping records, in any order, beside transactions that take them one by one: no set is ever refused', async t => {
      const { cask, keys } = await openHere(t)
      const ids = ['a', 'b', 'c', 'd']
      const sets = []
      const transactions = Array.from({ length: 24 }, (_, n) => retried(() => keys.transaction(async tx => {
        for (const step of [0, 1, 2]) {
          await tx.get('session', [ids[(n + step * (n % 2 ? 1 : 3)) % 4]])
          sets.push(codeOf(detached(() => keys.set({ session: Object.fromEntries(ids.slice(n % 3).map(id => [id, n])) }))))
          await turns(1)
        }
      })))
      await within(SOON_MS, 'all transactions', Promise.all(transactions))
      assert.deepEqual([...new Set(await within(SOON_MS, 'all sets', Promise.all(sets)))], ['ended'])
      assert.deepEqual(cask.locks(), [])
    })

    for (const size of SIZES) {
      // Power-safe it has its records, and only these, until the disk has them.
      test(`of ${size} free records makes no locks, but for its own records where a disk has to be waited for`, async t => {
        const { durability } = await place.optionsFor(t)
        const { cask, keys } = await openHere(t)
        const set = keys.set({ session: many(size, 1), 'lid-mapping': many(size, 'x') })
        const kinds = [...new Set(cask.locks().map(({ kind }) => kind))]
        assert.deepEqual(kinds.filter(kind => kind !== 'record' || durability !== 'power'), [])
        await set
        assert.equal((await collect(keys.listIds('session'))).length, size)
        assert.deepEqual(cask.locks(), [])
      })

      // Its own records are what others meet it at, however many they are.
      test(`of ${size} records that waits keeps no stranger out who touches none of them`, async t => {
        const { cask, keys } = await openHere(t)
        await keys.set({ session: { stranger: 'old' }, 'lid-mapping': { stranger: 'old' } })
        const one = standing(work => keys.transaction(work), tx => tx.get('session', ['id 1']))
        afterwards(t, one.leave)
        await one.entered
        const set = keys.set({ session: many(size, 1), 'lid-mapping': many(size, 'x') })
        assert.ok(await isPending(set))
        for (const [what, stranger] of [
          ['a plain set', () => keys.set({ session: { stranger: 'set' } })],
          ['a read', () => keys.transaction(tx => tx.get('session', ['stranger']))],
          ['a shared read', () => keys.transaction(tx => tx.get('lid-mapping', ['stranger']))],
          ['a write', () => keys.transaction(tx => tx.set({ session: { stranger: 'tx' }, 'lid-mapping': { stranger: 'tx' } }))],
          ['a list of another family', () => keys.transaction(tx => collect(tx.listIds('sender-key')))],
        ]) await within(SOON_MS, `${what} beside a set that waits`, stranger())
        assert.ok(await isPending(set))
        const behind = keys.transaction(tx => tx.get('session', [`id ${size - 1}`]))
        assert.ok(await isPending(behind), 'who touches one of its records is behind it')
        await one.end()
        await set
        assert.deepEqual(await behind, { [`id ${size - 1}`]: 1 })
        assert.deepEqual(cask.locks(), [])
      })

      test(`of ${size} records holds none while it waits, so that the one it waits for may take them`, async t => {
        const { cask, keys } = await openHere(t)
        let set
        await within(SOON_MS, 'the holder', keys.transaction(async tx => {
          await tx.get('session', ['id 1'])
          set = detached(() => keys.set({ session: many(size, 'set') }))
          await turns()
          assert.deepEqual(heldIn(cask), ['record session id 1 exclusive'])
          await tx.get('session', ['id 0', `id ${size - 1}`])
          await tx.set({ session: { [`id ${size - 1}`]: 'tx' } })
        }))
        await within(SOON_MS, 'the set', set)
        assert.deepEqual(await keys.get('session', ['id 0', `id ${size - 1}`]), { 'id 0': 'set', [`id ${size - 1}`]: 'set' })
      })
    }

    test('of a thousand records and a stream of small ones for the same records: the large one gets its turn', async t => {
      const { keys } = await openHere(t)
      let ended = false
      const hold = async n => {
        while (!ended) await keys.transaction(async tx => { await tx.get('session', [`id ${n}`]); await turns(1) })
      }
      const streams = Array.from({ length: 8 }, (_, n) => hold(n * 100))
      await turns()
      await within(SOON_MS, 'the large one', keys.set({ session: many(1000, 1) }))
      ended = true
      await Promise.all(streams)
      assert.equal((await recordsOf(keys, 'session')).length, 1000)
    })
  })

  describe('isolation: label', () => {
    const LABEL = { isolation: 'label' }

    test('reads take no locks and wait for none; what is staged is seen', async t => {
      const { cask, keys } = await openHere(t)
      await keys.set({ session: { a: 1, b: 1 }, 'lid-mapping': { a: 'x' } })
      const one = standing(work => keys.transaction(work), tx => tx.set({ session: { a: 2 }, 'lid-mapping': { a: 'y' } }))
      await one.entered
      await within(SOON_MS, 'the reader', keys.transaction(async tx => {
        assert.deepEqual(await tx.get('session', ['a', 'b']), { a: 1, b: 1 })
        assert.deepEqual(await tx.get('lid-mapping', ['a']), { a: 'x' })
        assert.deepEqual((await collect(tx.listIds('session'))).sort(), ['a', 'b'])
        await tx.set({ session: { c: 3 } })
        assert.deepEqual(await tx.get('session', ['a', 'c']), { a: 1, c: 3 })
        assert.deepEqual(heldIn(cask), ['label the label exclusive', 'record lid-mapping a exclusive', 'record session a exclusive'])
      }, 'the label', LABEL))
      await one.end()
    })

    test('its label is locked', async t => {
      const { keys } = await openHere(t)
      const one = standing(work => keys.transaction(work, 'label', LABEL))
      await one.entered
      const others = [keys.transaction(async () => {}, 'label'), keys.transaction(async () => {}, 'label', LABEL)]
      for (const other of others) assert.ok(await isPending(other))
      await one.end()
      await Promise.all(others)
    })

    test('its commit waits for whoever has locked what it wrote, so that those stay as they are', async t => {
      const { cask, keys } = await openHere(t)
      await keys.set({ session: { a: 'old' }, 'lid-mapping': { a: 'old' } })
      for (const [family, before] of [
        ['session', tx => tx.get('session', ['a'])], ['lid-mapping', tx => tx.get('lid-mapping', ['a'])], ['session', tx => collect(tx.list('session'))],
      ]) {
        const reader = standing(work => keys.transaction(work), before, tx => tx.get(family, ['a']))
        await reader.entered
        const writer = keys.transaction(async tx => { await tx.set({ [family]: { a: 'new' } }) }, undefined, LABEL)
        assert.ok(await isPending(writer))
        assert.deepEqual(await keys.get(family, ['a']), { a: 'old' })
        assert.deepEqual(await reader.end(), { a: 'old' })
        await writer
        assert.deepEqual(await keys.get(family, ['a']), { a: 'new' })
        await keys.set({ [family]: { a: 'old' } })
      }
      assert.deepEqual(cask.locks(), [])
    })

    test('like a plain set, its commit holds none of them while it waits, and is no deadlock\'s victim', async t => {
      const { cask, keys } = await openHere(t)
      let late
      await within(SOON_MS, 'the holder', keys.transaction(async tx => {
        await tx.get('session', ['b'])
        late = codeOf(detached(() => keys.transaction(inner => inner.set({ session: { a: 'late', b: 'late' } }), 'late', LABEL)))
        await turns()
        assert.deepEqual(heldIn(cask), ['label late exclusive', 'record session b exclusive'])
        await tx.set({ session: { a: 'tx' } })
      }))
      assert.equal(await within(SOON_MS, 'the one that waited', late), 'ended')
      assert.deepEqual(await keys.get('session', ['a', 'b']), { a: 'late', b: 'late' })
      assert.deepEqual(cask.locks(), [])
    })

    test('a batch that it commits is whole, and clears with it', async t => {
      const { keys } = await openHere(t)
      await keys.set({ session: { a: 1, gone: 1 }, other: { gone: 1 } })
      await keys.transaction(async tx => {
        await tx.clear()
        await tx.set({ session: { a: 2 } })
      }, 'label', LABEL)
      assert.deepEqual([await recordsOf(keys, 'session'), await recordsOf(keys, 'other')], [[['a', 2]], []])
    })
  })
})
