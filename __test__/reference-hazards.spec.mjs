// What goes wrong behind Baileys' own transactions and its folder of JSON files, one test each.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { collect, inEveryPlace, open, recordsOf } from './helpers/casks.mjs'
import { gate, isPending, turns, within } from './helpers/gate.mjs'
import { codeOf, retried } from './helpers/locks.mjs'

const SOON_MS = 5000

inEveryPlace(place => {
  const keysHere = async t => (await open(t, await place.optionsFor(t))).account().keys

  describe('hazards of the reference implementation', () => {
    // There the locks of a nested transaction go when its body ends, while its writes are committed with the outermost one.
    test('nested locks that end before the commit: another writer never reads the state in between', async t => {
      const keys = await keysHere(t)
      await keys.set({ session: { ratchet: { n: 0 } } })
      const step = tx => tx.transaction(async inner => {
        const { ratchet: { n } } = await inner.get('session', ['ratchet'])
        await inner.set({ session: { ratchet: { n: n + 1 } } })
        return n
      }, 'ratchet')
      const [stepped, sent] = [gate(), gate()]
      const relay = keys.transaction(async tx => {
        assert.equal(await step(tx), 0)
        stepped.open()
        await sent.opened
        return step(tx)
      }, 'relay')
      await stepped.opened
      const migrate = [keys.transaction(step, 'migrate'), keys.transaction(tx => tx.get('session', ['ratchet'])), keys.set({ other: { x: 1 }, session: { ratchet: { n: 10 } } })]
      assert.ok(await isPending(Promise.race(migrate)), 'another one had its turn between the body and the commit')
      sent.open()
      assert.equal(await relay, 1)
      assert.equal((await Promise.all(migrate))[0], 10, 'it came to the record last: its label was locked')
      assert.deepEqual((await migrate[1]).ratchet, { n: 2 })
      assert.deepEqual(await keys.get('session', ['ratchet']), { ratchet: { n: 11 } })
    })

    // There what a nested body wrote before it threw stays staged.
    test('a nested body that throws and is caught: none of its writes is committed, on any level', async t => {
      const keys = await keysHere(t)
      await keys.set({ session: { a: 'old', removed: 'old' } })
      await keys.transaction(async tx => {
        await tx.set({ session: { outer: 1 } })
        for (const nest of [work => keys.transaction(work, 'ambient'), work => tx.transaction(work), work => tx.transaction(inner => inner.transaction(work))]) {
          await nest(async () => {
            await keys.set({ session: { a: 'half', removed: null, fresh: 'half' } })
            throw new Error('caught')
          }).catch(() => {})
          assert.deepEqual(await keys.get('session', ['a', 'removed', 'fresh']), { a: 'old', removed: 'old' })
        }
      })
      assert.deepEqual(await recordsOf(keys, 'session'), [['a', 'old'], ['outer', 1], ['removed', 'old']])
    })

    // There records are sorted within one call; two that take theirs by nested calls wait for each other for ever.
    test('nested calls that meet in opposite order: the circle is found, and tried again both end', async t => {
      const keys = await keysHere(t)
      const scope = id => ({ records: [{ type: 'session', id }] })
      let met = 0
      const run = (first, second) => retried(() => keys.transactWith(scope(first), async tx => {
        await turns(2)
        await tx.transactWith(scope(second), async inner => {
          const { [second]: n = 0 } = await inner.get('session', [second])
          await inner.set({ session: { [second]: n + 1 } })
        })
      })).then(failures => (met += failures))
      await within(SOON_MS, 'both', Promise.all([run('a', 'b'), run('b', 'a')]))
      assert.equal(met, 1)
      assert.deepEqual(await keys.get('session', ['a', 'b']), { a: 1, b: 1 })
    })

    // There a write of work that outlived its transaction is dropped, with a warning at best.
    test('a detached write after the end: it is refused with a code or is an ordinary write, and never vanishes', async t => {
      const keys = await keysHere(t)
      for (const fail of [false, true]) {
        const ended = gate()
        let handle
        let ambient
        const end = keys.transaction(async tx => {
          handle = ended.opened.then(() => codeOf(tx.set({ session: { handle: 1 } })))
          ambient = ended.opened.then(() => codeOf(keys.set({ session: { ambient: String(fail) } })))
          if (fail) throw new Error('mine')
        })
        await end.catch(() => {})
        ended.open()
        assert.equal(await handle, 'ERR_CASK_TRANSACTION_ENDED')
        assert.equal(await ambient, fail ? 'ERR_CASK_TRANSACTION_ENDED' : 'ended')
      }
      assert.deepEqual(await recordsOf(keys, 'session'), [['ambient', 'false']])
    })

    // There a pre-key is deleted only where the same transaction has read it before.
    test('a pre-key that was not read first is deleted, and what is absent stays absent however often it is asked for', async t => {
      const keys = await keysHere(t)
      const pair = { public: Buffer.alloc(32, 1), private: Buffer.alloc(32, 2) }
      await keys.set({ 'pre-key': { 1: pair, 2: pair, 3: pair, 4: pair } })
      await keys.transaction(async tx => {
        await tx.set({ 'pre-key': { 1: null } })
        await keys.set({ 'pre-key': { 2: null, 5: null } })
        await tx.transaction(inner => inner.set({ 'pre-key': { 3: undefined } }))
        for (let n = 0; n < 3; n++) assert.deepEqual(await tx.get('pre-key', ['1', '2', '3', '5', 'never']), {})
      })
      assert.deepEqual(await collect(keys.listIds('pre-key')), ['4'])
    })

    // There `a/b` and `a__b` are one file, `a:b` and `a-b` another one, and listing `sender-key-` finds `sender-key-memory-` too.
    test('ids and families that one file name would stand for stay apart, also after opening again', async t => {
      const options = await place.optionsFor(t)
      const cask = await open(t, options)
      const { keys } = cask.account()
      const ids = ['a/b', 'a__b', 'a:b', 'a-b', 'a', '../a', 'a\\b', 'A', 'a.json', 'memory-a', '-', '__proto__', 'a%2Fb', ' a', 'a ']
      const families = ['sender-key', 'sender-key-memory', 'app-state-sync-key', 'app-state-sync-version']
      await keys.set(Object.fromEntries(families.slice(0, 2).map(family => [family, Object.fromEntries(ids.map(id => [id, { [family]: id }]))])))
      await keys.set({ 'app-state-sync-version': { a: { version: 1 } } })
      const check = async store => {
        for (const family of families.slice(0, 2)) {
          assert.deepEqual((await collect(store.listIds(family))).sort(), ids.toSorted())
          for (const id of ids) assert.deepEqual(Object.entries(await store.get(family, [id])), [[id, { [family]: id }]])
        }
        assert.deepEqual([await collect(store.listIds('app-state-sync-version')), await collect(store.listIds('app-state-sync-key'))], [['a'], []])
      }
      await check(keys)
      await keys.transaction(check)
      if (!place.isFile) return
      await cask.close()
      await check((await open(t, options)).account().keys)
    })
  })
})
