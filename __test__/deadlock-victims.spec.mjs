// Whom a deadlock ends, how far up, what it is told, and that trying again leads somewhere.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { detached } from 'baileys-cask'
import { inEveryPlace, openKeys, recordsOf } from './helpers/casks.mjs'
import { gate, isPending, turns, within } from './helpers/gate.mjs'
import { codeOf, heldIn, read, standing, write } from './helpers/locks.mjs'

const SOON_MS = 5000
const DEADLOCK = 'ERR_CASK_DEADLOCK'

/** A stranger that has `first` and waits for `second` once `wait` is called. */
async function stranger(keys, first, second) {
  const { entered, leave, ended } = standing(work => detached(() => keys.transaction(work, 'stranger')), read(first), async tx => { await tx.set({ session: { [second]: 'stranger' } }) })
  await entered
  return {
    ended,
    wait: async () => {
      leave()
      await turns()
    },
  }
}

inEveryPlace(place => {
  const openHere = t => openKeys(t, place)

  describe('the victim', () => {
    test('is the waiting transaction where it holds a lock of the circle itself; the one around it goes on', async t => {
      const { cask, keys } = await openHere(t)
      const other = await stranger(keys, 'b', 'a')
      await keys.transaction(async tx => {
        await tx.set({ session: { outer: 1 } })
        await assert.rejects(tx.transaction(async inner => {
          await inner.set({ session: { a: 'inner' } })
          await other.wait()
          await inner.get('session', ['b'])
        }, 'inner'), { code: DEADLOCK, label: 'inner' })
        await within(SOON_MS, 'the stranger, whose record the victim held', other.ended)
        assert.deepEqual(await tx.get('session', ['a', 'outer']), { a: 'stranger', outer: 1 })
        await tx.transaction(write('b', 'again'), 'inner')
      }, 'outer')
      assert.deepEqual(await keys.get('session', ['a', 'b', 'outer']), { a: 'stranger', b: 'again', outer: 1 })
      assert.deepEqual(cask.locks(), [])
    })

    test('is the nearest one around it that does, where it does not: everything up to there is refused, whatever catches the error between', async t => {
      const { cask, keys } = await openHere(t)
      const other = await stranger(keys, 'b', 'a')
      const caught = []
      const codes = []
      await keys.transaction(async outer => {
        await outer.set({ session: { outer: 1 } })
        let tries = 0
        const run = () => outer.transaction(async middle => {
          tries++
          await middle.set({ session: { a: 'middle' } })
          await middle.transaction(async between => {
            await between.set({ session: { between: 1 } })
            await between.transaction(async inner => {
              await inner.set({ session: { inner: 1 } })
              if (tries === 1) await other.wait()
              await inner.get('session', ['b'])
            }, 'inner').catch(error => { caught.push(error) })
            if (tries === 1) codes.push(await codeOf(between.set({ session: { between: 2 } })))
          }, 'between').catch(error => { caught.push(error) })
          if (tries === 1) codes.push(await codeOf(middle.set({ session: { middle: 2 } })))
          return 'caught it'
        }, 'middle')
        const refused = await run().then(() => assert.fail('committed'), error => error)
        caught.push(refused)
        for (const error of caught) assert.deepEqual([error.code, error.retryable, error.label], [DEADLOCK, true, 'middle'])
        assert.equal(caught.length, 3)
        assert.deepEqual(codes, [DEADLOCK, DEADLOCK])
        await within(SOON_MS, 'the stranger', other.ended)
        assert.deepEqual(await outer.get('session', ['a', 'between', 'inner', 'outer']), { a: 'stranger', outer: 1 })
        // The level to retry, as the label says.
        await within(SOON_MS, 'the retry', run())
        await outer.set({ session: { outer: 2 } })
      }, 'outer')
      assert.deepEqual(await recordsOf(keys, 'session'), [['a', 'middle'], ['between', 1], ['inner', 1], ['outer', 2]])
      assert.deepEqual(cask.locks(), [])
    })

    test('is the outermost, where only that one holds it', async t => {
      const { cask, keys } = await openHere(t)
      const other = await stranger(keys, 'b', 'a')
      const outer = keys.transaction(async tx => {
        await tx.set({ session: { a: 'outer' } })
        await other.wait()
        await tx.transaction(inner => inner.transaction(read('b'), 'deepest').catch(() => {}), 'inner').catch(() => {})
        return 'caught it'
      }, 'outer')
      await assert.rejects(within(SOON_MS, 'the outer one', outer), { code: DEADLOCK, label: 'outer' })
      await within(SOON_MS, 'the stranger', other.ended)
      assert.deepEqual(await recordsOf(keys, 'session'), [['a', 'stranger']])
      assert.deepEqual(cask.locks(), [])
    })

    test('is the nearest of several that do', async t => {
      const { keys } = await openHere(t)
      // The stranger waits for c, which both the outer and the middle one have: the middle one's end does not free it. It waits for a too.
      const other = standing(work => detached(() => keys.transaction(work, 'stranger')), read('b'), tx => Promise.all([tx.transaction(read('a')), tx.transaction(read('o'))]))
      await other.entered
      await keys.transaction(async outer => {
        await outer.set({ session: { free: 1 } })
        await assert.rejects(outer.transaction(async middle => {
          await middle.get('session', ['a'])
          await middle.get('session', ['o'])
          other.leave()
          await turns()
          await middle.transaction(read('b'), 'inner')
        }, 'middle'), { code: DEADLOCK, label: 'middle' })
        await within(SOON_MS, 'the stranger', other.ended)
      }, 'outer')
      assert.deepEqual(await recordsOf(keys, 'session'), [['free', 1]])
    })

    test('frees what it held at once, though its work still runs, and cannot commit', async t => {
      const { cask, keys } = await openHere(t)
      const other = await stranger(keys, 'b', 'a')
      const go = gate()
      let late
      const victim = keys.transaction(async tx => {
        await tx.set({ session: { a: 'victim', mine: 1 } })
        await other.wait()
        await tx.get('session', ['b']).catch(() => {})
        await go.opened
        late = [await codeOf(tx.get('session', ['mine'])), await codeOf(tx.set({ session: { mine: 2 } })), await codeOf(keys.set({ session: { mine: 2 } })), await codeOf(keys.get('session', ['a'])), await codeOf(keys.transaction(async () => {})), await codeOf(tx.transaction(async () => {}))]
      }, 'victim')
      victim.catch(() => {})
      await within(SOON_MS, 'the stranger', other.ended)
      assert.deepEqual(heldIn(cask), [])
      await within(SOON_MS, 'another one with its label', keys.transaction(write('mine', 'other'), 'victim'))
      go.open()
      await assert.rejects(victim, { code: DEADLOCK })
      assert.deepEqual(late, Array(6).fill(DEADLOCK))
      assert.deepEqual(await keys.get('session', ['a', 'mine']), { a: 'stranger', mine: 'other' })
    })

    test('takes along what else runs inside it, which cannot commit either', async t => {
      const { cask, keys } = await openHere(t)
      const other = await stranger(keys, 'b', 'a')
      const go = gate()
      let sibling
      let late
      const victim = keys.transaction(async tx => {
        await tx.set({ session: { a: 'victim' } })
        const entered = gate()
        sibling = codeOf(tx.transaction(async inner => {
          await inner.set({ session: { sibling: 1 } })
          entered.open()
          await go.opened
          late = await codeOf(inner.set({ session: { sibling: 2 } }))
        }, 'sibling'))
        await entered.opened
        await other.wait()
        await tx.transaction(read('b'), 'waits').catch(() => {})
        go.open()
      }, 'victim')
      await assert.rejects(within(SOON_MS, 'the victim', victim), { code: DEADLOCK, label: 'victim' })
      assert.deepEqual([await sibling, late], [DEADLOCK, DEADLOCK])
      await within(SOON_MS, 'the stranger', other.ended)
      assert.deepEqual(await recordsOf(keys, 'session'), [['a', 'stranger']])
      assert.deepEqual(cask.locks(), [])
    })

    test('a plain set, a clear and saveCreds are never one, wherever they stand in line', async t => {
      const { cask, keys } = await openHere(t)
      const account = cask.account()
      for (let round = 0; round < 8; round++) {
        const one = standing(work => keys.transaction(work, 'one'), async tx => { await tx.get('session', ['a']); await tx.setCreds({ one: 1 }) }, read('b'))
        const two = standing(work => keys.transaction(work, 'two'), read('b'), async tx => { await tx.get('session', ['a']); await tx.setCreds({ two: 1 }) })
        await Promise.all([one.entered, two.entered])
        const plain = [keys.set({ session: { a: 1, b: 1 } }), keys.set({ session: { b: 2, c: 2 } }), keys.clear(), account.saveCreds({ plain: 1 })]
        if (round % 2) one.leave()
        else two.leave()
        await turns()
        plain.push(keys.set({ session: { a: 3, b: 3 } }), keys.clear())
        one.leave()
        two.leave()
        const ends = await within(SOON_MS, 'both transactions', Promise.all([codeOf(one.ended), codeOf(two.ended)]))
        assert.deepEqual(ends.toSorted(), [DEADLOCK, 'ended'])
        assert.deepEqual(await within(SOON_MS, 'all plain ones', Promise.all(plain.map(codeOf))), Array(6).fill('ended'))
      }
      assert.deepEqual(cask.locks(), [])
    })
  })

  describe('its error', () => {
    test('is one and the same from the call and from the transaction, and names account, records and labels, and no value', async t => {
      const { cask } = await openHere(t)
      const { keys } = cask.account('mine')
      const other = standing(work => keys.transaction(work, 'stranger'), read('b'), tx => tx.transaction(async () => {}, 'my label'))
      await other.entered
      let fromCall
      const fromTransaction = await keys.transaction(async tx => {
        await tx.set({ session: { a: { secret: 'TOPSECRET' }, unrelated: 'TOPSECRET' } })
        other.leave()
        await turns()
        fromCall = await tx.set({ session: { b: { secret: 'TOPSECRET' } } }).catch(error => error)
      }, 'my label').catch(error => error)
      assert.equal(fromTransaction, fromCall)
      assert.deepEqual([fromCall.name, fromCall.code, fromCall.retryable, fromCall.label], ['CaskError', DEADLOCK, true, 'my label'])
      assert.deepEqual(fromCall.records, [{ account: 'mine', type: 'session', id: 'b' }])
      assert.deepEqual(fromCall.labels, ['my label'])
      assert.match(fromCall.message, /retry the transaction/)
      assert.match(fromCall.stack, /deadlock-victims\.spec/, 'its stack leads to the call')
      const told = JSON.stringify([fromCall, Object.getOwnPropertyNames(fromCall).map(name => [name, fromCall[name]])])
      assert.doesNotMatch(told, /TOPSECRET|unrelated/)
      assert.deepEqual(Object.keys(fromCall).sort(), ['code', 'label', 'labels', 'name', 'records', 'retryable'])
      await within(SOON_MS, 'the stranger', other.ended)
    })

    test('has no label where the level to retry has none, also when others have', async t => {
      const { keys } = await openHere(t)
      const other = await stranger(keys, 'b', 'a')
      const error = await keys.transaction(async tx => {
        await tx.get('session', ['a'])
        await other.wait()
        await tx.transaction(read('b'), 'inner')
      }).catch(error => error)
      assert.equal(error.code, DEADLOCK)
      assert.equal(error.label, undefined)
      await within(SOON_MS, 'the stranger', other.ended)
    })
  })

  describe('trying again', () => {
    test('a child that is retried as its label says ends: the level that the error names is the one to retry', async t => {
      const { cask, keys } = await openHere(t)
      const retry = async (begin, label) => {
        for (let tries = 1; ; tries++) {
          try {
            return await begin()
          } catch (error) {
            if (error.code !== DEADLOCK || error.label !== label) throw error
            assert.ok(tries < 100, 'no end')
            await turns(1)
          }
        }
      }
      const both = (label, first, second) => retry(() => keys.transaction(async tx => {
        await tx.set({ session: { [first]: label } })
        await turns(2)
        await retry(() => tx.transaction(write(second, label), `${label} inner`), `${label} inner`)
      }, label), label)
      await within(SOON_MS, 'both', Promise.all([both('one', 'a', 'b'), both('two', 'b', 'a'), both('three', 'a', 'b'), both('four', 'b', 'a')]))
      const { a, b } = await keys.get('session', ['a', 'b'])
      assert.equal(a, b)
      assert.deepEqual(cask.locks(), [])
    })

    // A loop that does not end here would not even let a timer fire.
    test('a child that is retried for as long as its error says that it may be, ends', async t => {
      const { keys } = await openHere(t)
      const other = await stranger(keys, 'b', 'a')
      let tries = 0
      const outcome = await keys.transaction(async tx => {
        await tx.get('session', ['a'])
        await other.wait()
        for (;;) {
          tries++
          try {
            return await tx.transaction(read('b'), 'child')
          } catch (error) {
            if (!error.retryable || tries === 1000) throw error
          }
        }
      }, 'parent').catch(error => error)
      assert.deepEqual([outcome.code, outcome.label, outcome.retryable], [DEADLOCK, 'parent', true])
      assert.ok(tries < 1000, 'it would have been tried for ever')
      await within(SOON_MS, 'the stranger', other.ended)
    })

    test('six transactions that take five records in orders of their own, all retried, all end', async t => {
      const { cask, keys } = await openHere(t)
      const ids = ['a', 'b', 'c', 'd', 'e']
      let victims = 0
      await within(20_000, 'all', Promise.all(Array.from({ length: 6 }, async (_, n) => {
        for (let tries = 1; ; tries++) {
          try {
            return await keys.transaction(async tx => {
              for (let step = 0; step < 5; step++) {
                const id = ids[(n + step * (1 + (n % 4))) % 5]
                const add = async inner => inner.set({ session: { [id]: ((await inner.get('session', [id]))[id] ?? 0) + 1 } })
                await (step % 2 ? tx.transaction(add) : add(tx))
                await turns(1)
              }
            }, n % 3 ? undefined : `label ${n % 2}`)
          } catch (error) {
            if (error.code !== DEADLOCK) throw error
            victims++
            await turns(1 + Math.floor(Math.random() * 5 * tries))
          }
        }
      })))
      assert.ok(victims > 0)
      assert.deepEqual(await recordsOf(keys, 'session'), ids.map(id => [id, 6]))
      assert.deepEqual(cask.locks(), [])
    })
  })
})
