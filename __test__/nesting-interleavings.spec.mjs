// Parents, children and strangers at once: what is left after any order of their steps.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { detached } from 'baileys-cask'
import { collect, inEveryPlace, openKeys, recordsOf } from './helpers/casks.mjs'
import { gate, isPending, turns, within } from './helpers/gate.mjs'
import { codeOf, heldIn, read, retried, standing, write } from './helpers/locks.mjs'

const SOON_MS = 10_000
const INDEPENDENT = { nested: 'independent' }
const LABEL = { isolation: 'label' }
const DEADLOCK = 'ERR_CASK_DEADLOCK'

inEveryPlace(place => {
  const openHere = t => openKeys(t, place)

  /** Adds one to a record inside a transaction, in two steps. */
  const add = (id, by = 1) => async tx => {
    const { [id]: n = 0 } = await tx.get('session', [id])
    await turns(1)
    await tx.set({ session: { [id]: n + by } })
  }

  describe('counters that many add to at once', () => {
    test('children, their children, and failing ones, all of one parent, that commits', async t => {
      const { cask, keys } = await openHere(t)
      let expected = 0
      await within(SOON_MS, 'the parent', keys.transaction(tx => Promise.all(Array.from({ length: 24 }, async (_, n) => {
        const id = `${n % 2}`
        const fails = n % 5 === 0
        const work = n % 3 ? add(id) : async inner => { await inner.transaction(add(id), `deep ${n % 4}`); await inner.transaction(async deep => { await add(id, 100)(deep); throw new Error('deep') }).catch(() => {}) }
        await tx.transaction(async inner => { await work(inner); if (fails) throw new Error('child') }, n % 4 ? undefined : 'label').catch(error => assert.match(error.message, /^child$/))
        if (!fails) expected++
      }))))
      const found = await keys.get('session', ['0', '1'])
      assert.equal(found['0'] + found['1'], expected)
      assert.deepEqual(cask.locks(), [])
    })

    test('the same beside a parent that adds by its own calls between them', async t => {
      const { keys } = await openHere(t)
      await within(SOON_MS, 'the parent', keys.transaction(async tx => {
        for (let n = 0; n < 10; n++) {
          const { c = 0 } = await tx.get('session', ['c'])
          await tx.set({ session: { c: c + 1 } })
          // Two children at once, one of which fails after it has written.
          await Promise.allSettled([tx.transaction(add('c')), tx.transaction(async inner => { await add('c', 50)(inner); throw new Error('child') })])
        }
      }))
      assert.deepEqual(await keys.get('session', ['c']), { c: 20 })
    })

    test('strangers, independent children and plain sets: every committed addition is there, no undone one', async t => {
      const { cask, keys } = await openHere(t)
      let expected = 0
      const addTo = async (begin, by = 1) => {
        await retried(begin)
        expected += by
      }
      await within(SOON_MS, 'all', Promise.all(Array.from({ length: 16 }, async (_, n) => {
        if (n % 4 === 0) return addTo(() => keys.transaction(add('c'), `label ${n % 3}`))
        if (n % 4 === 1) return addTo(() => keys.transaction(tx => tx.transaction(add('c'), undefined, INDEPENDENT), 'label 0'))
        if (n % 4 === 2) {
          return keys.transaction(async tx => {
            await addTo(() => tx.transaction(add('c'), undefined, INDEPENDENT))
            await tx.set({ session: { undone: 1 } })
            throw new Error('outer')
          }).catch(error => { if (error.code !== DEADLOCK) assert.match(error.message, /^outer$/) })
        }
        return keys.set({ session: { [`plain ${n}`]: 1 } })
      })))
      assert.deepEqual(await keys.get('session', ['c', 'undone']), { c: expected })
      assert.deepEqual(cask.locks(), [])
    })

    test('a hundred children of one parent for one record, each in its turn', async t => {
      const { keys } = await openHere(t)
      await within(SOON_MS, 'the parent', keys.transaction(tx => Promise.all(Array.from({ length: 100 }, () => tx.transaction(async inner => {
        const { c = 0 } = await inner.get('session', ['c'])
        await inner.set({ session: { c: c + 1 } })
      })))))
      assert.deepEqual(await keys.get('session', ['c']), { c: 100 })
    })
  })

  describe('a child that joins late', () => {
    // Before it joined, the stranger waited for the child alone, and the parent for the stranger was no circle.
    test('where joining closes a circle, somebody is refused, and nobody waits for ever', async t => {
      const { cask, keys } = await openHere(t)
      const stranger = standing(work => keys.transaction(work, 'stranger'), read('x'), read('c'))
      await stranger.entered
      const held = gate()
      const parent = codeOf(keys.transaction(async tx => {
        await tx.set({ session: { a: 'parent' } })
        const child = tx.transaction(async inner => {
          await inner.get('session', ['c'])
          held.open()
          await turns(12)
          await inner.get('session', ['a'])
        }, 'child', INDEPENDENT)
        await held.opened
        const own = tx.get('session', ['x'])
        stranger.leave()
        await Promise.all([child, own])
      }, 'parent'))
      const codes = await within(SOON_MS, 'both', Promise.all([parent, codeOf(stranger.ended)]))
      assert.ok(codes.includes(DEADLOCK) && codes.every(code => code === DEADLOCK || code === 'ended'), codes.join())
      assert.deepEqual(cask.locks(), [])
    })

    test('who waits for what it holds waits from then on for the outermost', async t => {
      const { keys } = await openHere(t)
      const leave = gate()
      let stranger
      const ended = gate()
      const outer = keys.transaction(async tx => {
        await tx.set({ session: { a: 1 } })
        await tx.transaction(async inner => {
          await inner.get('session', ['c'])
          stranger = detached(() => keys.transaction(read('c')))
          await turns()
          await inner.get('session', ['a'])
          await inner.set({ session: { c: 1 } })
        }, undefined, INDEPENDENT)
        ended.open()
        await leave.opened
      })
      await ended.opened
      assert.ok(await isPending(stranger))
      leave.open()
      await outer
      assert.deepEqual(await stranger, { c: 1 })
    })

    test('what it had read before it joined is what it commits on: no stranger has changed it meanwhile', async t => {
      const { keys } = await openHere(t)
      await keys.set({ session: { c: 1 } })
      let stranger
      await keys.transaction(async tx => {
        await tx.set({ session: { a: 1 } })
        await tx.transaction(async inner => {
          const { c } = await inner.get('session', ['c'])
          stranger = detached(() => keys.set({ session: { c: 100 } }))
          await turns()
          const { a } = await inner.get('session', ['a'])
          await inner.set({ session: { sum: a + c } })
        }, undefined, INDEPENDENT)
        assert.deepEqual(await tx.get('session', ['c', 'sum']), { c: 1, sum: 2 })
      })
      await stranger
      assert.deepEqual(await keys.get('session', ['c', 'sum']), { c: 100, sum: 2 })
    })

    test('a sibling that stages what it has only read before waits for it, so it need not join', async t => {
      const { keys } = await openHere(t)
      await assert.rejects(keys.transaction(async tx => {
        const independent = standing(work => tx.transaction(work, undefined, INDEPENDENT), read('a'), write('b', 1))
        await independent.entered
        const sibling = tx.transaction(write('a', 'sibling'))
        const own = tx.set({ session: { a: 'own' } })
        assert.ok(await isPending(Promise.race([sibling, own])))
        await independent.end()
        assert.deepEqual(await detached(() => keys.get('session', ['b'])), { b: 1 })
        await Promise.all([sibling, own])
        throw new Error('outer')
      }), /^Error: outer$/)
      assert.deepEqual(await recordsOf(keys, 'session'), [['b', 1]])
    })
  })

  describe('lists and clears over several levels', () => {
    test('a clear by the parent waits for a child that runs, and by a child for its sibling; what comes after them stays', async t => {
      const { keys } = await openHere(t)
      await keys.set({ session: { old: 0 } })
      await keys.transaction(async tx => {
        const child = standing(work => tx.transaction(work), write('child', 1))
        await child.entered
        const clears = [tx.clear(), tx.transaction(inner => inner.clear())]
        assert.ok(await isPending(Promise.race(clears)))
        await child.end()
        await Promise.all(clears)
        assert.deepEqual(await recordsOf(tx, 'session'), [])
        await tx.transaction(write('after', 1))
      })
      assert.deepEqual(await recordsOf(keys, 'session'), [['after', 1]])
    })

    test('a list of the parent that stands still between two steps: a child\'s writes show when it has ended, never before', async t => {
      const { keys } = await openHere(t)
      await keys.set({ session: { a: 'old', b: 'old', c: 'old', d: 'old' } })
      await keys.transaction(async tx => {
        const walk = tx.list('session')[Symbol.asyncIterator]()
        const [first] = (await walk.next()).value
        const [second, third, fourth] = ['a', 'b', 'c', 'd'].filter(id => id !== first)
        await tx.transaction(inner => inner.set({ session: { [second]: 'ended', [third]: null, fresh: 'ended' } }))
        await assert.rejects(tx.transaction(async inner => { await inner.set({ session: { [fourth]: 'failed' } }); throw new Error('inner') }), /^Error: inner$/)
        const rest = []
        for (let step = await walk.next(); !step.done; step = await walk.next()) rest.push(step.value)
        assert.deepEqual(rest.sort(), [[second, 'ended'], [fourth, 'old']].sort())
        const running = standing(work => tx.transaction(work), write(first, 'running'), () => { throw new Error('never mind') })
        await running.entered
        const listing = codeOf(collect(tx.list('session')).then(found => assert.ok(!found.some(([, value]) => value === 'running'))))
        await turns()
        await running.end().catch(() => {})
        assert.equal(await listing, 'ended')
      })
    })

    test('two children that clear and write in turn leave what the last one left', async t => {
      const { keys } = await openHere(t)
      await keys.set({ session: { committed: 1 }, other: { committed: 1 } })
      await keys.transaction(async tx => {
        await Promise.all(['one', 'two', 'three'].map(name => tx.transaction(async inner => {
          await inner.clear()
          await turns(1)
          await inner.set({ session: { [name]: 1 } })
        })))
        assert.deepEqual(await recordsOf(tx, 'session'), [['three', 1]])
        await tx.transaction(async inner => { await inner.clear(); throw new Error('inner') }).catch(() => {})
        assert.deepEqual(await recordsOf(tx, 'session'), [['three', 1]])
      })
      assert.deepEqual([await recordsOf(keys, 'session'), await recordsOf(keys, 'other')], [[['three', 1]], []])
    })

    test('a child upgrades what its parent has read shared: on success the parent has it for itself, on failure it does not', async t => {
      const { cask, keys } = await openHere(t)
      for (const fail of [true, false]) {
        await keys.transaction(async tx => {
          await tx.get('lid-mapping', ['a'])
          await tx.transaction(async inner => { await inner.set({ 'lid-mapping': { a: 'x' } }); if (fail) throw new Error('inner') }).catch(() => {})
          assert.deepEqual(heldIn(cask), [`record lid-mapping a ${fail ? 'shared' : 'exclusive'}`])
          const stranger = detached(() => codeOf(keys.transaction(inner => inner.get('lid-mapping', ['a']))))
          assert.equal(await isPending(stranger), !fail)
        })
      }
    })
  })

  describe('isolation: label inside', () => {
    test('a child with it waits at its end for a sibling that holds what it wrote, and passes its locks on', async t => {
      const { cask, keys } = await openHere(t)
      await keys.transaction(async tx => {
        const sibling = standing(work => tx.transaction(work), write('a', 'sibling'))
        await sibling.entered
        const child = tx.transaction(write('a', 'child'), 'child', LABEL)
        assert.ok(await isPending(child))
        await sibling.end()
        await child
        assert.deepEqual(heldIn(cask), ['label child exclusive', 'record session a exclusive'])
        assert.deepEqual(await tx.get('session', ['a']), { a: 'child' })
      })
      assert.deepEqual(await keys.get('session', ['a']), { a: 'child' })
    })

    test('a parent with it sees what children staged, and locks it by its end at the latest', async t => {
      const { keys } = await openHere(t)
      const parent = standing(work => keys.transaction(work, 'label', LABEL), async tx => {
        await tx.set({ session: { own: 1 } })
        await tx.transaction(write('child', 1))
        assert.deepEqual(await tx.get('session', ['own', 'child']), { own: 1, child: 1 })
      })
      await parent.entered
      const stranger = standing(work => keys.transaction(work), read('own'), read('own'))
      await within(SOON_MS, 'a stranger that reads', stranger.entered)
      parent.leave()
      assert.ok(await isPending(parent.ended))
      assert.deepEqual(await stranger.end(), {})
      await parent.ended
      assert.deepEqual(await keys.get('session', ['own', 'child']), { own: 1, child: 1 })
    })
  })

  describe('handles across levels', () => {
    test('the parent\'s handle used inside a child writes to the parent, and survives the child\'s failure', async t => {
      const { keys } = await openHere(t)
      await keys.transaction(async tx => {
        await tx.transaction(async inner => {
          await inner.set({ session: { inner: 1 } })
          await tx.set({ session: { outer: 1 } })
          assert.deepEqual(await inner.get('session', ['outer']), { outer: 1 })
          throw new Error('inner')
        }).catch(error => assert.match(error.message, /^inner$/))
      })
      assert.deepEqual(await recordsOf(keys, 'session'), [['outer', 1]])
    })

    test('a transaction begun by the parent\'s handle inside a child is the child\'s sibling', async t => {
      const { keys } = await openHere(t)
      await keys.transaction(async tx => {
        await tx.transaction(async inner => {
          await inner.set({ session: { inner: 1 } })
          await tx.transaction(write('sibling', 1))
          throw new Error('inner')
        }).catch(error => assert.match(error.message, /^inner$/))
      })
      assert.deepEqual(await recordsOf(keys, 'session'), [['sibling', 1]])
    })

    test('a child\'s handle used by its parent writes to the child while that runs', async t => {
      const { keys } = await openHere(t)
      await keys.transaction(async tx => {
        let handle
        const child = standing(work => tx.transaction(work), inner => { handle = inner }, () => { throw new Error('child') })
        await child.entered
        await handle.set({ session: { a: 1 } })
        await child.end().catch(() => {})
        assert.equal(await codeOf(handle.set({ session: { a: 2 } })), 'ERR_CASK_TRANSACTION_ENDED')
        assert.deepEqual(await tx.get('session', ['a']), {})
      })
      assert.deepEqual(await recordsOf(keys, 'session'), [])
    })
  })

  describe('ends that cross', () => {
    test('a fresh transaction of work that outlived its own waits for the commit that is under way', async t => {
      const { keys } = await openHere(t)
      for (let n = 1; n <= 5; n++) {
        let leftover
        await keys.transaction(async tx => {
          await tx.set({ session: { a: n } })
          leftover = new Promise(setImmediate).then(() => keys.transaction(async fresh => {
            const { a } = await fresh.get('session', ['a'])
            await fresh.set({ session: { seen: a } })
          }))
        })
        await leftover
        assert.deepEqual(await keys.get('session', ['a', 'seen']), { a: n, seen: n })
      }
    })

    test('an account\'s transaction inside one of another account inside one of its own: a rollback of the outermost dooms it, and not the one between', async t => {
      const { cask } = await openHere(t)
      const [a, b] = ['a', 'b'].map(name => cask.account(name).keys)
      const [entered, go] = [gate(), gate()]
      const ends = []
      await assert.rejects(a.transaction(async () => {
        ends.push(codeOf(b.transaction(async between => {
          await between.set({ session: { b: 1 } })
          ends.push(codeOf(a.transaction(async inner => { await inner.set({ session: { a: 1 } }); entered.open(); await go.opened; await inner.set({ session: { late: 1 } }) })))
          await ends[1]
          await between.set({ session: { late: 1 } })
        })))
        await entered.opened
        throw new Error('outermost')
      }), /^Error: outermost$/)
      go.open()
      assert.deepEqual(await within(SOON_MS, 'both', Promise.all(ends)), ['ended', 'ERR_CASK_TRANSACTION_ENDED'])
      assert.deepEqual([await recordsOf(a, 'session'), await recordsOf(b, 'session'), cask.locks()], [[], [['b', 1], ['late', 1]], []])
    })

    test('a doomed child\'s work goes on beside its parent, and touches nothing of it', async t => {
      const { cask, keys } = await openHere(t)
      const go = gate()
      const refused = []
      let zombie
      await keys.transaction(async tx => {
        await tx.set({ session: { a: 'parent' } })
        const aborted = new AbortController()
        await assert.rejects(tx.transaction(inner => {
          zombie = (async () => {
            await inner.set({ session: { a: 'child', b: 'child' } })
            aborted.abort()
            await go.opened
            for (const call of [() => inner.set({ session: { a: 'late' } }), () => keys.set({ session: { a: 'late' } }), () => keys.get('session', ['a']), () => keys.transaction(write('a', 'late')), () => inner.clear()]) refused.push(await codeOf(call()))
          })()
          return zombie
        }, 'child', { signal: aborted.signal }), { code: 'ERR_CASK_ABORTED' })
        assert.deepEqual(heldIn(cask), ['record session a exclusive'])
        assert.deepEqual(await tx.get('session', ['a', 'b']), { a: 'parent' })
        await tx.transaction(write('b', 'again'), 'child')
        go.open()
        await zombie
        assert.deepEqual(await tx.get('session', ['a', 'b']), { a: 'parent', b: 'again' })
      })
      assert.deepEqual(refused, Array(5).fill('ERR_CASK_ABORTED'))
      assert.deepEqual(await recordsOf(keys, 'session'), [['a', 'parent'], ['b', 'again']])
      assert.deepEqual(cask.locks(), [])
    })

    test('a doomed child\'s work that still runs when its parent has committed is refused for as long as it runs', async t => {
      const { keys } = await openHere(t)
      const [go, refused] = [gate(), []]
      let zombie
      await keys.transaction(async tx => {
        const aborted = new AbortController()
        await assert.rejects(tx.transaction(inner => {
          zombie = (async () => {
            await inner.set({ session: { b: 'child' } })
            aborted.abort()
            await go.opened
            for (const call of [() => keys.set({ session: { a: 'late' } }), () => keys.get('session', ['a']), () => keys.transaction(write('a', 'late'))]) refused.push(await codeOf(call()))
          })()
          return zombie
        }, 'child', { signal: aborted.signal }), { code: 'ERR_CASK_ABORTED' })
        await tx.set({ session: { a: 'parent' } })
      })
      go.open()
      await zombie
      assert.deepEqual(refused, Array(3).fill('ERR_CASK_ABORTED'))
      assert.deepEqual(await recordsOf(keys, 'session'), [['a', 'parent']])
    })

    test('saveCreds beside a child that has staged creds: it waits for the child, and takes the place of what that left', async t => {
      const { cask, keys } = await openHere(t)
      const account = cask.account()
      for (const [fail, expected] of [[false, undefined], [true, { n: 2 }]]) {
        await cask.account().keys.transaction(async tx => {
          const child = standing(work => tx.transaction(work), inner => inner.setCreds({ n: 1 }), () => { if (fail) throw new Error('child') })
          await child.entered
          const saved = account.saveCreds({ n: 2 })
          assert.ok(await isPending(saved))
          await child.end().catch(() => {})
          await within(SOON_MS, 'saveCreds', saved)
          assert.deepEqual(await detached(() => account.loadCreds()), expected)
          if (!fail) throw new Error('undone')
        }).catch(error => assert.match(error.message, /^undone$/))
        assert.deepEqual(await account.loadCreds(), expected)
      }
      assert.deepEqual(await keys.get('session', []), {})
    })
  })
})
