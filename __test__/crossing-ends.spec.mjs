// Ends of some levels while others still run, wait, or are about to commit.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { detached } from 'baileys-cask'
import { inEveryPlace, open, openKeys, recordsOf } from './helpers/casks.mjs'
import { afterwards } from './helpers/cleanup.mjs'
import { gate, isPending, turns, within } from './helpers/gate.mjs'
import { codeOf, heldIn, read, standing, waitedForIn, write } from './helpers/locks.mjs'

const SOON_MS = 5000
const INDEPENDENT = { nested: 'independent' }
const LABEL = { isolation: 'label' }
const BOTH = { ...INDEPENDENT, ...LABEL }
const DEADLOCK = 'ERR_CASK_DEADLOCK'
const ENDED = 'ERR_CASK_TRANSACTION_ENDED'

inEveryPlace(place => {
  const openHere = t => openKeys(t, place)

  describe('independent levels where those around them end', () => {
    for (const [what, between] of [
      ['an ordinary child', (tx, work) => tx.transaction(work)],
      ['an independent child', (tx, work) => tx.transaction(work, undefined, INDEPENDENT)],
      ['an independent child that has joined', (tx, work) => tx.transaction(async inner => { await inner.get('session', ['staged']); assert.ok(inner.joined); return work(inner) }, undefined, INDEPENDENT)],
    ]) {
      test(`a rollback of the outermost: inside ${what}, it goes on and commits`, async t => {
        const { cask, keys } = await openHere(t)
        const go = gate()
        const ends = []
        await assert.rejects(keys.transaction(async tx => {
          await tx.set({ session: { staged: 1 } })
          const entered = gate()
          ends.push(codeOf(between(tx, async inner => {
            await inner.set({ session: { between: 1 } })
            ends.push(codeOf(inner.transaction(async deep => {
              await deep.set({ session: { deep: 1 } })
              entered.open()
              await go.opened
              await deep.set({ session: { late: 1 } })
              await keys.set({ session: { ambient: 1 } })
              // What was staged around it is no more, and no reason to join.
              assert.deepEqual(await deep.get('session', ['staged']), {})
              assert.equal(deep.joined, false)
            }, undefined, INDEPENDENT)))
            await ends[1]
          })))
          await entered.opened
          throw new Error('outermost')
        }), /^Error: outermost$/)
        go.open()
        const codes = await within(SOON_MS, 'both', Promise.all(ends))
        assert.deepEqual(codes, [what === 'an independent child' ? 'ended' : ENDED, 'ended'])
        const rest = what === 'an independent child' ? [['between', 1]] : []
        assert.deepEqual(await recordsOf(keys, 'session'), [['ambient', 1], ...rest, ['deep', 1], ['late', 1]])
        assert.deepEqual(cask.locks(), [])
      })
    }

    test('one that waits for a lock when the one around it rolls back gets it all the same', async t => {
      const { cask, keys } = await openHere(t)
      const stranger = standing(work => keys.transaction(work), read('busy'))
      await stranger.entered
      let child
      await assert.rejects(keys.transaction(async tx => {
        await tx.get('session', ['mine'])
        child = codeOf(tx.transaction(async inner => { await inner.get('session', ['mine']); await inner.set({ session: { busy: 1 } }) }, 'child', INDEPENDENT))
        await turns()
        throw new Error('outer')
      }), /^Error: outer$/)
      assert.ok(await isPending(child))
      assert.deepEqual(heldIn(cask), ['label child exclusive', 'record session busy exclusive', 'record session mine exclusive'])
      await stranger.end()
      assert.equal(await within(SOON_MS, 'the child', child), 'ended')
      assert.deepEqual([await recordsOf(keys, 'session'), cask.locks()], [[['busy', 1]], []])
    })

    test('one that touches what is staged around it when the work around it has ended: it joins, and the commit that waits for it has both', async t => {
      const { keys } = await openHere(t)
      const go = gate()
      const outer = keys.transaction(async tx => {
        await tx.set({ session: { staged: 1 } })
        tx.transaction(async inner => {
          await go.opened
          await inner.set({ session: { staged: 2, child: 1 } })
          assert.equal(inner.joined, true)
        }, undefined, INDEPENDENT)
      })
      assert.ok(await isPending(outer))
      go.open()
      await outer
      assert.deepEqual(await recordsOf(keys, 'session'), [['child', 1], ['staged', 2]])
    })

    test('one that could not commit because it holds what a deadlock is about takes its parent along only where that holds it', async t => {
      const { cask, keys } = await openHere(t)
      // The parent and a stranger have read one record; the child wants to write it, and then the stranger does.
      const stranger = standing(work => keys.transaction(work, 'stranger'), tx => tx.get('lid-mapping', ['a']), tx => tx.set({ 'lid-mapping': { a: 'stranger' } }))
      await stranger.entered
      let child
      const parent = codeOf(keys.transaction(async tx => {
        await tx.get('lid-mapping', ['a'])
        stranger.leave()
        await turns()
        child = await tx.transaction(inner => inner.set({ 'lid-mapping': { a: 'child' } }), 'child', INDEPENDENT).catch(error => error)
      }, 'parent'))
      assert.equal(await within(SOON_MS, 'the parent, which holds it', parent), DEADLOCK)
      assert.deepEqual([child.code, child.label], [DEADLOCK, 'parent'])
      await within(SOON_MS, 'the stranger', stranger.ended)
      assert.deepEqual([await keys.get('lid-mapping', ['a']), cask.locks()], [{ a: 'stranger' }, []])
    })
  })

  describe('a commit that waits for its locks', () => {
    test('of a child, when the one around it rolls back: it is refused, and waits for nothing any more', async t => {
      const { cask, keys } = await openHere(t)
      const stranger = standing(work => keys.transaction(work), read('busy'))
      await stranger.entered
      let child
      await assert.rejects(keys.transaction(async tx => {
        child = codeOf(tx.transaction(write('busy'), undefined, LABEL))
        await turns()
        assert.deepEqual(waitedForIn(cask), ['record session busy exclusive'])
        throw new Error('outer')
      }), /^Error: outer$/)
      assert.equal(await within(SOON_MS, 'the child', child), ENDED)
      assert.deepEqual(waitedForIn(cask), [])
      await stranger.end()
      assert.deepEqual([await recordsOf(keys, 'session'), cask.locks()], [[], []])
    })

    test('of an independent child, when the one around it rolls back: it commits when its time has come', async t => {
      const { cask, keys } = await openHere(t)
      const stranger = standing(work => keys.transaction(work), read('busy'))
      await stranger.entered
      let child
      await assert.rejects(keys.transaction(async tx => {
        child = codeOf(tx.transaction(tx => tx.set({ session: { busy: 1, free: 1 } }), 'child', BOTH))
        await turns()
        throw new Error('outer')
      }), /^Error: outer$/)
      assert.ok(await isPending(child))
      await stranger.end()
      assert.equal(await within(SOON_MS, 'the child', child), 'ended')
      assert.deepEqual([await recordsOf(keys, 'session'), cask.locks()], [[['busy', 1], ['free', 1]], []])
    })

    test('of a child: the one around it waits for that before it commits', async t => {
      const { keys } = await openHere(t)
      const stranger = standing(work => keys.transaction(work), read('busy'))
      await stranger.entered
      const outer = keys.transaction(tx => { tx.transaction(write('busy', 'child'), undefined, LABEL) })
      assert.ok(await isPending(outer))
      await stranger.end()
      await within(SOON_MS, 'the outer one', outer)
      assert.deepEqual(await keys.get('session', ['busy']), { busy: 'child' })
    })

    test('in a circle through its label: one of both is refused, whoever came last', async t => {
      const { cask, keys } = await openHere(t)
      for (const commitsLast of [true, false]) {
        const holder = standing(work => keys.transaction(work), write('a', 'holder'), tx => tx.transaction(async () => {}, 'label'))
        const commits = standing(work => keys.transaction(work, 'label', LABEL), write('a', 'committed'))
        await Promise.all([holder.entered, commits.entered])
        const codes = Promise.all([codeOf(holder.ended), codeOf(commits.ended)])
        for (const { leave } of commitsLast ? [holder, commits] : [commits, holder]) {
          leave()
          await turns()
        }
        assert.deepEqual(await within(SOON_MS, 'both', codes), commitsLast ? ['ended', DEADLOCK] : [DEADLOCK, 'ended'])
        assert.deepEqual(await keys.get('session', ['a']), { a: commitsLast ? 'holder' : 'committed' })
      }
      assert.deepEqual(cask.locks(), [])
    })
  })

  describe('while a commit waits for its locks', () => {
    /** One that has written `a` under isolation label and waits at its commit for a stranger; what else its work has begun gets `after`. */
    const waiting = async (t, options, casksOptions) => {
      const cask = await open(t, { ...await place.optionsFor(t), ...casksOptions })
      const { keys } = cask.account()
      await keys.set({ session: { a: 'old' } })
      const holder = standing(work => keys.transaction(work), read('a'), read('a'))
      await holder.entered
      afterwards(t, holder.leave)
      const began = gate()
      let leftover
      let handle
      const ended = keys.transaction(async tx => {
        handle = tx
        await tx.set({ session: { a: 'committed', b: 'committed' } })
        leftover = began.opened.then(() => Promise.all([
          keys.get('session', ['a', 'b']), codeOf(tx.get('session', ['a'])), codeOf(tx.set({ session: { c: 1 } })), codeOf(tx.transaction(async () => {})),
          codeOf(keys.set({ session: { a: 'leftover', d: 1 } })), keys.transaction(fresh => fresh.get('session', ['a'])),
        ]))
      }, 'label', { ...LABEL, ...options })
      ended.catch(() => {})
      await turns()
      return { cask, keys, holder, ended, handle, leftover, began }
    }

    test('its handle has ended, reads of what it left behind are of committed state, and writes come after it', async t => {
      const { cask, keys, holder, ended, handle, leftover, began } = await waiting(t)
      assert.equal(handle.isInTransaction(), false)
      began.open()
      assert.ok(await isPending(leftover))
      assert.deepEqual(await holder.end(), { a: 'old' })
      await ended
      assert.deepEqual(await within(SOON_MS, 'the leftovers', leftover), [{ a: 'old' }, ENDED, ENDED, ENDED, 'ended', { a: 'leftover' }])
      assert.deepEqual([await recordsOf(keys, 'session'), cask.locks()], [[['a', 'leftover'], ['b', 'committed'], ['d', 1]], []])
    })

    test('a signal cancels the wait: nothing of it is committed, and its label is free', async t => {
      const aborted = new AbortController()
      const { keys, ended, holder } = await waiting(t, { signal: aborted.signal })
      aborted.abort(new Error('mine'))
      const error = await within(SOON_MS, 'its end', ended).catch(error => error)
      assert.deepEqual([error.code, error.cause?.message], ['ERR_CASK_ABORTED', 'mine'])
      await within(SOON_MS, 'its label', detached(() => keys.transaction(async () => {}, 'label')))
      await holder.end()
      await turns()
      assert.deepEqual(await recordsOf(keys, 'session'), [['a', 'old']])
    })

    test('a limit of that wait, and one of the whole call, end it the same way', async t => {
      for (const [options, casksOptions, code] of [[{}, { lockTimeoutMs: 40 }, 'ERR_CASK_LOCK_TIMEOUT'], [{ timeoutMs: 40 }, {}, 'ERR_CASK_TRANSACTION_TIMEOUT']]) {
        const { cask, keys, ended, holder } = await waiting(t, options, casksOptions)
        assert.equal(await within(SOON_MS, 'its end', codeOf(ended)), code)
        assert.deepEqual(heldIn(cask), ['record session a exclusive'])
        await holder.end()
        await turns()
        assert.deepEqual([await recordsOf(keys, 'session'), cask.locks()], [[['a', 'old']], []])
      }
    })

    test('a drop of the account ends it, and nothing of it comes back', async t => {
      const { cask, ended } = await waiting(t)
      await detached(() => cask.account().drop())
      assert.equal(await within(SOON_MS, 'its end', codeOf(ended)), 'ERR_CASK_DROPPED')
      assert.deepEqual([await cask.accounts(), cask.locks()], [[], []])
    })
  })

  describe('parents and children in one line', () => {
    for (const [what, order] of [['the parent came first', ['parent', 'child']], ['the child came first', ['child', 'parent']]]) {
      test(`both wait for a stranger's record, ${what}: each gets it in turn`, async t => {
        const { cask, keys } = await openHere(t)
        const stranger = standing(work => keys.transaction(work), write('a', 'stranger'))
        await stranger.entered
        let found
        await within(SOON_MS, 'the parent', keys.transaction(async tx => {
          const calls = order.map(who => (who === 'parent' ? tx.get('session', ['a']) : tx.transaction(async inner => { await inner.set({ session: { a: 'child' } }); await turns(2) })))
          await turns()
          assert.equal(waitedForIn(cask).length, 2)
          stranger.leave()
          found = (await Promise.all(calls))[order.indexOf('parent')]
        }))
        assert.deepEqual(found, { a: order[0] === 'child' ? 'child' : 'stranger' })
        assert.deepEqual(await keys.get('session', ['a']), { a: 'child' })
      })
    }

    test('siblings that have both read a read-mostly record and both write it: one is refused, and may be tried again', async t => {
      const { keys } = await openHere(t)
      const codes = []
      await within(SOON_MS, 'the parent', keys.transaction(async tx => {
        await tx.get('lid-mapping', ['a'])
        const upgrade = async inner => { await inner.get('lid-mapping', ['a']); await turns(2); await inner.set({ 'lid-mapping': { a: 'x' } }) }
        codes.push(...await Promise.all([tx.transaction(upgrade), tx.transaction(upgrade)].map(codeOf)))
        await tx.transaction(upgrade)
      }))
      assert.deepEqual(codes.toSorted(), [DEADLOCK, 'ended'])
    })

    test('what a child gave up waiting for is its parent\'s to have', async t => {
      const { cask, keys } = await openHere(t)
      const stranger = standing(work => keys.transaction(work), read('a'))
      await stranger.entered
      await within(SOON_MS, 'the parent', keys.transaction(async tx => {
        const gaveUp = new AbortController()
        const child = codeOf(tx.transaction(write('a', 'child'), 'child', { signal: gaveUp.signal }))
        const own = tx.set({ session: { a: 'parent' } })
        await turns()
        gaveUp.abort()
        assert.equal(await child, 'ERR_CASK_ABORTED')
        assert.equal(waitedForIn(cask).length, 1)
        await stranger.end()
        await own
      }))
      assert.deepEqual(await keys.get('session', ['a']), { a: 'parent' })
    })

    test('close waits for an independent child whose parent has rolled back', async t => {
      const options = await place.optionsFor(t)
      const cask = await open(t, options)
      const { keys } = cask.account()
      const go = gate()
      afterwards(t, go.open)
      let child
      await assert.rejects(keys.transaction(async tx => {
        const entered = gate()
        child = codeOf(tx.transaction(async inner => { await inner.set({ session: { a: 1 } }); entered.open(); await go.opened; await inner.set({ session: { b: 1 } }) }, undefined, INDEPENDENT))
        await entered.opened
        throw new Error('outer')
      }), /^Error: outer$/)
      const closed = detached(() => cask.close())
      assert.ok(await isPending(closed), 'it closed under a transaction that runs')
      go.open()
      assert.equal(await child, 'ended')
      await within(SOON_MS, 'close', closed)
      if (place.isFile) assert.deepEqual(await recordsOf((await open(t, options)).account().keys, 'session'), [['a', 1], ['b', 1]])
    })
  })
})
