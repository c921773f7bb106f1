// list, listIds, clear and drop beside transactions, and which names are different locks.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { detached } from 'baileys-cask'
import { collect, inEveryPlace, openKeys, recordsOf } from './helpers/casks.mjs'
import { isPending, turns, within } from './helpers/gate.mjs'
import { codeOf, heldIn, retried, standing, waitedForIn } from './helpers/locks.mjs'

const SOON_MS = 10_000

inEveryPlace(place => {
  const openHere = t => openKeys(t, place)
  const LISTS = { list: store => collect(store.list('session')), listIds: store => collect(store.listIds('session')) }

  describe('a family that was listed', () => {
    for (const [how, list] of Object.entries(LISTS)) {
      test(`${how}: no record of it comes, goes or changes before the transaction has ended`, async t => {
        const { cask, keys } = await openHere(t)
        await keys.set({ session: { a: 1, b: 1 } })
        const one = standing(work => keys.transaction(work), list, list)
        await one.entered
        const writers = [
          keys.set({ session: { a: 2 } }), keys.set({ session: { b: null } }), keys.set({ session: { fresh: 1 } }), keys.set({ other: { x: 1 }, session: { y: 1 } }),
          keys.transaction(tx => tx.set({ session: { tx: 1 } })), keys.transaction(tx => tx.get('session', ['read for itself'])), keys.clear(), keys.transaction(tx => tx.clear()),
          keys.transaction(tx => tx.set({ session: { label: 1 } }), undefined, { isolation: 'label' }),
        ]
        for (const writer of writers) assert.ok(await isPending(writer))
        assert.equal(waitedForIn(cask).length, 10)
        assert.deepEqual((await one.end()).map(found => (how === 'list' ? found : [found, 1])).sort(), [['a', 1], ['b', 1]])
        await within(SOON_MS, 'all writers', Promise.all(writers))
        assert.deepEqual(cask.locks(), [])
      })

      test(`${how}: other lists, shared reads, other families and other accounts go on`, async t => {
        const { cask, keys } = await openHere(t)
        const one = standing(work => keys.transaction(work), async tx => { await list(tx); await collect(tx.listIds('lid-mapping')) })
        await one.entered
        for (const other of [
          () => keys.transaction(list), () => keys.transaction(tx => tx.get('lid-mapping', ['1'])), () => keys.set({ 'sender-key': { a: 1 } }),
          () => keys.transaction(tx => tx.set({ 'sender-key': { a: 2 } })), () => cask.account('b').keys.set({ session: { a: 1 } }), () => cask.account('b').keys.clear(),
          () => keys.get('session', ['a']), () => list(keys), () => keys.transaction(async () => {}, 'session'),
        ]) await within(SOON_MS, String(other), other())
        await one.end()
      })

      test(`${how}: waits for whoever has staged or locked a record of the family`, async t => {
        const { keys } = await openHere(t)
        for (const before of [tx => tx.set({ session: { a: 1 } }), tx => tx.get('session', ['a']), tx => tx.set({ session: { gone: null } }), tx => tx.clear()]) {
          const one = standing(work => keys.transaction(work), before)
          await one.entered
          const listing = keys.transaction(list)
          assert.ok(await isPending(listing))
          await one.end()
          await within(SOON_MS, 'the list', listing)
        }
      })
    }

    test('shared readers of a family do not keep a lister out', async t => {
      const { keys } = await openHere(t)
      const one = standing(work => keys.transaction(work), tx => tx.get('device-list', ['a']))
      await one.entered
      await within(SOON_MS, 'the list', keys.transaction(tx => collect(tx.list('device-list'))))
      await one.end()
    })

    test('who lists may write into the family, and reads it then as it is', async t => {
      const { cask, keys } = await openHere(t)
      await keys.set({ session: { a: 1, b: 1 } })
      await keys.transaction(async tx => {
        await collect(tx.listIds('session'))
        await tx.set({ session: { a: null, c: 3 } })
        assert.deepEqual(await recordsOf(tx, 'session'), [['b', 1], ['c', 3]])
        assert.deepEqual(heldIn(cask), ['family session shared', 'record session a exclusive', 'record session c exclusive'])
        await tx.clear()
        assert.deepEqual(await recordsOf(tx, 'session'), [])
      })
      assert.deepEqual(await recordsOf(keys, 'session'), [])
    })

    test('two that list one family and then both write into it: one is a victim, and tried again it sees the other\'s record', async t => {
      const { cask, keys } = await openHere(t)
      let victims = 0
      await within(SOON_MS, 'all', Promise.all(Array.from({ length: 6 }, async (_, n) => {
        victims += await retried(() => keys.transaction(async tx => {
          const count = (await collect(tx.listIds('session'))).length
          await turns(1)
          await tx.set({ session: { [`${n}`]: count } })
        }))
      })))
      assert.ok(victims > 0)
      assert.deepEqual((await recordsOf(keys, 'session')).map(([, count]) => count).sort(), [0, 1, 2, 3, 4, 5])
      assert.deepEqual(cask.locks(), [])
    })

    test('a lister gets its turn among writers that never rest, and they theirs', async t => {
      const { keys } = await openHere(t)
      let ended = false
      let written = 0
      const writers = Array.from({ length: 6 }, async (_, n) => {
        while (!ended) {
          await keys.transaction(async tx => { await tx.set({ session: { [n]: n } }); await turns(1) })
          written++
        }
      })
      await turns()
      for (let n = 0; n < 10; n++) await within(SOON_MS, 'a list', keys.transaction(tx => collect(tx.listIds('session'))))
      const before = written
      await turns(20)
      ended = true
      await Promise.all(writers)
      assert.ok(written > before)
    })
  })

  describe('a list outside', () => {
    test('never waits, leaves out what is staged, and makes no lock', async t => {
      const { cask, keys } = await openHere(t)
      await keys.set({ session: { a: 1, b: 1 } })
      const one = standing(work => keys.transaction(work), async tx => { await tx.clear(); await tx.set({ session: { c: 2 } }) })
      await one.entered
      const held = heldIn(cask)
      assert.deepEqual(await within(SOON_MS, 'a list', recordsOf(keys, 'session')), [['a', 1], ['b', 1]])
      assert.deepEqual((await within(SOON_MS, 'ids', collect(keys.listIds('session')))).sort(), ['a', 'b'])
      assert.deepEqual(heldIn(cask), held)
      await one.end()
      assert.deepEqual(await recordsOf(keys, 'session'), [['c', 2]])
    })

    test('has the ids as of the call, each value as committed when it is reached, and leaves out what was removed', async t => {
      const { keys } = await openHere(t)
      await keys.set({ session: { a: 1, b: 1, c: 1, d: 1 } })
      const walk = keys.list('session')[Symbol.asyncIterator]()
      const ids = keys.listIds('session')
      await keys.set({ session: { late: 1 } })
      const [first] = (await walk.next()).value
      const [changed, removed, rewritten] = ['a', 'b', 'c', 'd'].filter(id => id !== first)
      await keys.transaction(tx => tx.set({ session: { [changed]: 2, [removed]: null } }))
      await keys.set({ session: { [rewritten]: null, [first]: 9 } })
      await keys.set({ session: { [rewritten]: 3 } })
      const rest = []
      for (let step = await walk.next(); !step.done; step = await walk.next()) rest.push(step.value)
      assert.deepEqual(rest.sort(), [[changed, 2], [rewritten, 3]].sort())
      assert.deepEqual((await collect(ids)).sort(), ['a', 'b', 'c', 'd'])
    })
  })

  describe('clear', () => {
    test('inside a transaction it waits for all who use records of the account, and they for it', async t => {
      const { cask, keys } = await openHere(t)
      const uses = [
        tx => tx.get('session', ['a']), tx => tx.get('lid-mapping', ['a']), tx => tx.set({ other: { a: 1 } }), tx => collect(tx.listIds('session')), tx => tx.clear(),
      ]
      for (const use of uses) {
        for (const [first, second] of [[use, tx => tx.clear()], [tx => tx.clear(), use]]) {
          const one = standing(work => keys.transaction(work), first)
          await one.entered
          const two = keys.transaction(second)
          assert.ok(await isPending(two), `${second} did not wait for ${first}`)
          await one.end()
          await within(SOON_MS, 'the second', two)
        }
      }
      assert.deepEqual(cask.locks(), [])
    })

    test('it does not wait for labels, creds and other accounts, nor they for it', async t => {
      const { cask, keys } = await openHere(t)
      const account = cask.account()
      const one = standing(work => keys.transaction(work, 'label'), tx => tx.setCreds({ a: 1 }))
      const two = standing(work => cask.account('b').keys.transaction(work), tx => tx.get('session', ['a']))
      await Promise.all([one.entered, two.entered])
      const clear = standing(work => keys.transaction(work), tx => tx.clear())
      await within(SOON_MS, 'the clear', clear.entered)
      await one.end()
      await within(SOON_MS, 'what a clear does not concern', Promise.all([
        account.saveCreds({ b: 1 }), keys.transaction(async () => {}, 'label'), cask.account('b').keys.set({ session: { z: 1 } }),
      ]))
      await clear.end()
      await two.end()
    })

    test('outside it is a short transaction of its own: it waits for who has locked a record, and holds nothing while it waits', async t => {
      const { cask, keys } = await openHere(t)
      await keys.set({ session: { a: 1, b: 1 } })
      const one = standing(work => keys.transaction(work), tx => tx.get('session', ['a']), tx => tx.get('session', ['b']))
      await one.entered
      const clear = keys.clear()
      assert.ok(await isPending(clear))
      assert.deepEqual(heldIn(cask), ['record session a exclusive'])
      assert.deepEqual(await one.end(), { b: 1 }, 'who is waited for goes first')
      await clear
      assert.deepEqual(await recordsOf(keys, 'session'), [])
      assert.deepEqual(cask.locks(), [])
    })

    test('nothing of what came before it is left, nothing of what came after it is lost', async t => {
      const { keys } = await openHere(t)
      const all = []
      for (let n = 0; n < 20; n++) {
        all.push(keys.transaction(async tx => { await tx.set({ session: { [`before ${n}`]: 1 } }); await turns(n % 3) }))
      }
      all.push(keys.transaction(async tx => { await tx.clear(); await turns(2) }))
      for (let n = 0; n < 20; n++) all.push(keys.set({ session: { [`after ${n}`]: 1 } }))
      await Promise.all(all)
      assert.deepEqual((await collect(keys.listIds('session'))).filter(id => id.startsWith('before')), [])
      assert.equal((await collect(keys.listIds('session'))).length, 20)
    })
  })

  describe('drop', () => {
    test('inside a transaction of the account it is refused, also where one of another account lies between', async t => {
      const { cask } = await openHere(t)
      const [a, b] = [cask.account('a'), cask.account('b')]
      await a.keys.set({ other: { a: 1 } })
      await a.keys.transaction(() => b.keys.transaction(async () => {
        assert.equal(await codeOf(a.drop()), 'ERR_CASK_INVALID_ARGUMENT')
        assert.equal(await codeOf(b.drop()), 'ERR_CASK_INVALID_ARGUMENT')
      }))
      assert.deepEqual(await recordsOf(a.keys, 'other'), [['a', 1]])
    })

    test('outside it dooms what runs and what waits, of that account only, and leaves no lock', async t => {
      const { cask } = await openHere(t)
      const [a, b] = [cask.account('a'), cask.account('b')]
      const runs = standing(work => a.keys.transaction(work, 'label'), async tx => { await tx.set({ session: { x: 1 } }) }, tx => tx.set({ session: { y: 1 } }))
      const nested = standing(work => a.keys.transaction(tx => tx.transaction(work)), tx => tx.get('other', ['x']))
      const other = standing(work => b.keys.transaction(work, 'label'), tx => tx.set({ session: { x: 1 } }))
      for (const { entered } of [runs, nested, other]) await entered
      const waits = [a.keys.transaction(async () => {}, 'label'), a.keys.transaction(tx => tx.get('session', ['x']))]
      for (const wait of waits) assert.ok(await isPending(wait))
      const codes = Promise.all([runs.ended, nested.ended, ...waits].map(codeOf))
      await a.drop()
      assert.deepEqual(await within(SOON_MS, 'the end of all of it', codes), Array(4).fill('ERR_CASK_DROPPED'))
      runs.leave()
      nested.leave()
      await other.end()
      assert.deepEqual(cask.locks(), [])
      assert.deepEqual(await cask.accounts(), ['b'])
      assert.deepEqual(await recordsOf(cask.account('a').keys, 'session'), [])
    })

    test('a plain set that waits when its account is dropped does not come back with it', async t => {
      const { cask } = await openHere(t)
      const a = cask.account('a')
      const holds = standing(work => a.keys.transaction(work), tx => tx.get('session', ['x']))
      await holds.entered
      const set = codeOf(a.keys.set({ session: { x: 1 } }))
      assert.ok(await isPending(set))
      await a.drop()
      assert.equal(await within(SOON_MS, 'the set', set), 'ERR_CASK_DROPPED')
      holds.leave()
      assert.deepEqual(await cask.accounts(), [])
      assert.deepEqual(cask.locks(), [])
    })
  })

  describe('names', () => {
    test('labels, records, families, accounts and creds of one name are different locks', async t => {
      const { cask } = await openHere(t)
      const account = cask.account('session')
      const { keys } = account
      const all = [
        standing(work => keys.transaction(work, 'session')),
        standing(work => keys.transaction(work), tx => tx.get('session', ['session'])),
        standing(work => keys.transaction(work), tx => tx.get('other', ['session'])),
        standing(work => keys.transaction(work), tx => collect(tx.listIds('creds'))),
        standing(work => keys.transaction(work, 'creds'), tx => tx.get('creds ', ['creds'])),
        standing(work => keys.transaction(work), tx => tx.setCreds({ a: 1 })),
        standing(work => cask.account('other').keys.transaction(work, 'session'), tx => tx.get('session', ['session'])),
      ]
      await within(SOON_MS, 'all at once', Promise.all(all.map(({ entered }) => entered)))
      assert.equal(cask.locks().length, 9)
      for (const { end } of all) await end()
    })

    for (const [what, one, other] of [
      ['parts that touch: family and id', ['ab', 'c'], ['a', 'bc']],
      ['a family that begins like another one', ['session', 'a'], ['session2', 'a']],
      ['sender-key and sender-key-memory', ['sender-key', 'memory-a'], ['sender-key-memory', 'a']],
      ['ids that a file name would mangle', ['session', 'a/b'], ['session', 'a:b']],
      ['ids of one letter in two forms', ['session', '\u00e9'], ['session', 'e\u0301']],
      ['an id with a zero', ['session', 'a'], ['session', 'a\u0000']],
    ]) {
      test(`different records: ${what}`, async t => {
        const { keys } = await openHere(t)
        const holds = standing(work => keys.transaction(work), tx => tx.get(one[0], [one[1]]))
        await holds.entered
        await within(SOON_MS, 'the other record', keys.transaction(tx => tx.set({ [other[0]]: { [other[1]]: 1 } })))
        if (one[0] !== other[0]) await within(SOON_MS, 'its family', keys.transaction(tx => collect(tx.listIds(other[0]))))
        assert.ok(await isPending(detached(() => keys.transaction(tx => tx.get(one[0], [one[1]])))))
        await holds.end()
      })
    }
  })
})
