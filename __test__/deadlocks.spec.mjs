// Which circles are found, and which are none.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { detached } from 'baileys-cask'
import { collect, inEveryPlace, open, openKeys } from './helpers/casks.mjs'
import { afterwards } from './helpers/cleanup.mjs'
import { gate, isPending, turns, within } from './helpers/gate.mjs'
import { codeOf, retried, standing } from './helpers/locks.mjs'
import { startWorker } from './helpers/remote.mjs'

const SOON_MS = 5000
const DEADLOCK = 'ERR_CASK_DEADLOCK'
const read = (family, id) => tx => tx.get(family, [id])
const write = (family, id) => tx => tx.set({ [family]: { [id]: 'x' } })

/** Transactions that each take their first, and once all have that, their second; what became of them. */
async function cross(steps) {
  const all = steps.map(([begin, first, second]) => standing(begin, first, second))
  for (const { entered } of all) await entered
  const ends = all.map(({ ended }) => codeOf(ended))
  for (const { leave } of all) {
    leave()
    // One after the other: the last one closes the circle.
    await turns(2)
  }
  return within(SOON_MS, 'the end of all', Promise.all(ends))
}

inEveryPlace(place => {
  const openHere = (t, options) => openKeys(t, place, options)

  describe('circles of two', () => {
    const pairs = {
      'records of one family': [read('session', 'a'), read('session', 'b')],
      'records of two families': [read('session', 'a'), write('sender-key', 'a')],
      'a record and a label': [read('session', 'a'), tx => tx.transaction(async () => {}, 'a')],
      'two labels': [tx => tx.transaction(async () => {}, 'b'), tx => tx.transaction(async () => {}, 'a')],
      'a record and a family': [read('session', 'a'), tx => collect(tx.list('sender-key')), write('sender-key', 'a')],
      'a record and the creds': [read('session', 'a'), tx => tx.setCreds({ a: 1 })],
      'two families': [tx => collect(tx.list('session')), tx => collect(tx.list('other')), write('other', 'a'), write('session', 'a')],
      'a record and the account': [write('session', 'a'), tx => tx.get('lid-mapping', ['1']), tx => tx.clear(), write('session', 'a')],
      'several records of one call': [tx => tx.set({ session: { a: 1, b: 1 } }), tx => tx.set({ session: { c: 1, d: 1 } }), tx => tx.get('session', ['0', 'd']), tx => tx.get('session', ['0', 'b'])],
      'transactWith': [tx => tx.transactWith({ records: [{ type: 'session', id: 'a' }] }, async () => {}), tx => tx.transactWith({ records: [{ type: 'session', id: 'b' }] }, async () => {})],
    }
    for (const [what, [one, two, oneNext = two, twoNext = one]] of Object.entries(pairs)) {
      test(`${what}: the one that came last is refused, the other one ends well, and a retry does too`, async t => {
        const { cask, keys } = await openHere(t)
        const run = work => keys.transaction(work)
        assert.deepEqual(await cross([[run, one, oneNext], [run, two, twoNext]]), ['ended', DEADLOCK])
        await within(SOON_MS, 'a retry', keys.transaction(async tx => { await two(tx); await twoNext(tx) }))
        assert.deepEqual(cask.locks(), [])
      })
    }

    for (const family of ['lid-mapping', 'device-list', 'identity-key', 'app-state-sync-key']) {
      test(`two that have read one record of ${family} and both write it: the second write is refused, the first is there`, async t => {
        const { cask, keys } = await openHere(t)
        const run = work => keys.transaction(work)
        const value = text => ({ keyData: Buffer.from(text) })
        const upgrade = text => [run, read(family, 'a'), tx => tx.set({ [family]: { a: value(text) } })]
        assert.deepEqual(await cross([upgrade('one'), upgrade('two')]), ['ended', DEADLOCK])
        assert.deepEqual((await keys.get(family, ['a'])).a.keyData, value('one').keyData)
        assert.deepEqual(cask.locks(), [])
      })
    }

    test('a reader that writes beside readers that do not only waits for them', async t => {
      const { keys } = await openHere(t)
      const readers = [0, 1, 2].map(() => standing(work => keys.transaction(work), read('lid-mapping', 'a')))
      for (const { entered } of readers) await entered
      const upgrade = keys.transaction(async tx => { await read('lid-mapping', 'a')(tx); await write('lid-mapping', 'a')(tx) })
      assert.ok(await isPending(upgrade))
      for (const { end } of readers) await end()
      await within(SOON_MS, 'the upgrade', upgrade)
    })
  })

  describe('longer circles', () => {
    test('of five records', async t => {
      const { cask, keys } = await openHere(t)
      const steps = Array.from({ length: 5 }, (_, n) => [work => keys.transaction(work, `t${n}`), write('session', `${n}`), write('session', `${(n + 1) % 5}`)])
      assert.deepEqual(await cross(steps), ['ended', 'ended', 'ended', 'ended', DEADLOCK])
      assert.deepEqual(cask.locks(), [])
    })

    test('of readers and writers of a read-mostly family', async t => {
      const { keys } = await openHere(t)
      const run = work => keys.transaction(work)
      assert.deepEqual(await cross([
        [run, read('lid-mapping', 'a'), write('lid-mapping', 'b')], [run, read('lid-mapping', 'b'), write('lid-mapping', 'c')], [run, read('lid-mapping', 'c'), write('lid-mapping', 'a')],
      ]), ['ended', 'ended', DEADLOCK])
    })

    test('two circles closed by one call: both are opened', async t => {
      const { keys } = await openHere(t)
      const run = work => keys.transaction(work)
      // The last one wants what two others have read, and each of them wants what it has.
      const codes = await cross([
        [run, read('lid-mapping', 'x'), read('session', 'a')], [run, read('lid-mapping', 'x'), read('session', 'b')],
        [run, tx => tx.get('session', ['a', 'b']), write('lid-mapping', 'x')],
      ])
      assert.deepEqual(codes, ['ended', 'ended', DEADLOCK])
    })

    test('through the next record of a call that was let go on', async t => {
      const { keys } = await openHere(t)
      const first = standing(work => keys.transaction(work), read('session', 'a'))
      await first.entered
      const c = standing(work => keys.transaction(work), read('session', 'c'), read('session', 'b'))
      const b = standing(work => keys.transaction(work), read('session', 'b'), tx => tx.get('session', ['a', 'c']))
      await Promise.all([b.entered, c.entered])
      const ends = Promise.all([codeOf(b.ended), codeOf(c.ended)])
      b.leave()
      await turns()
      c.leave()
      await turns()
      // Now `b` gets a and comes to c, which waits for it.
      await first.end()
      const codes = await within(SOON_MS, 'both', ends)
      assert.deepEqual(codes.toSorted(), [DEADLOCK, 'ended'])
    })
  })

  describe('across nesting', () => {
    test('what children hold, their parents wait with', async t => {
      const { keys } = await openHere(t)
      const run = label => work => keys.transaction(tx => tx.transaction(inner => inner.transaction(work)), label)
      assert.deepEqual(await cross([[run('one'), read('session', 'a'), read('session', 'b')], [run('two'), read('session', 'b'), read('session', 'a')]]), ['ended', DEADLOCK])
    })

    test('what children that ended have left to their parents', async t => {
      const { keys } = await openHere(t)
      const run = work => keys.transaction(work)
      const inside = call => tx => tx.transaction(inner => inner.transaction(call))
      assert.deepEqual(await cross([[run, inside(read('session', 'a')), inside(read('session', 'b'))], [run, inside(read('session', 'b')), inside(read('session', 'a'))]]), ['ended', DEADLOCK])
    })

    test('a parent waits for its running children: one child holds what the stranger wants, another one waits for the stranger', async t => {
      const { cask, keys } = await openHere(t)
      const stranger = standing(work => keys.transaction(work, 'stranger'), read('session', 'b'), read('session', 'a'))
      await stranger.entered
      const childHolds = gate()
      const parent = codeOf(keys.transaction(tx => Promise.all([
        tx.transaction(async inner => { await inner.get('session', ['a']); childHolds.open(); await turns(10) }, 'holds'),
        childHolds.opened.then(async () => {
          stranger.leave()
          await turns()
          await tx.transaction(read('session', 'b'), 'waits')
        }),
      ]), 'parent'))
      assert.deepEqual(await within(SOON_MS, 'both', Promise.all([parent, codeOf(stranger.ended)])), [DEADLOCK, 'ended'])
      assert.deepEqual(cask.locks(), [])
    })

    test('two siblings that want each other\'s record: one is refused, its parent goes on', async t => {
      const { keys } = await openHere(t)
      await keys.transaction(async tx => {
        const run = label => work => tx.transaction(work, label)
        assert.deepEqual(await cross([
          [run('one'), write('session', 'a'), write('session', 'b')], [run('two'), write('session', 'b'), write('session', 'a')],
        ]), ['ended', DEADLOCK])
        await tx.set({ session: { parent: 1 } })
      })
      assert.deepEqual(await keys.get('session', ['a', 'b', 'parent']), { a: 'x', b: 'x', parent: 1 })
    })

    test('a parent\'s own call waits for a child, which waits for one that waits for the parent', async t => {
      const { keys } = await openHere(t)
      const stranger = standing(work => keys.transaction(work, 'stranger'), read('session', 'b'), read('session', 'a'))
      await stranger.entered
      const parent = codeOf(keys.transaction(async tx => {
        await tx.get('session', ['a'])
        const held = gate()
        const child = tx.transaction(async inner => {
          await inner.get('session', ['c'])
          held.open()
          await inner.get('session', ['b'])
        })
        child.catch(() => {})
        await held.opened
        const own = tx.get('session', ['c'])
        await turns()
        stranger.leave()
        await own
        await child
      }, 'parent'))
      assert.deepEqual(await within(SOON_MS, 'both', Promise.all([parent, codeOf(stranger.ended)])), ['ended', DEADLOCK])
    })
  })

  describe('across accounts of one cask', () => {
    test('two transactions, each inside one of the other account', async t => {
      const { cask } = await openHere(t)
      const [a, b] = ['a', 'b'].map(name => cask.account(name).keys)
      const codes = await cross([
        [work => a.transaction(work, 'one'), read('session', 'x'), () => b.transaction(read('session', 'x'))],
        [work => b.transaction(work, 'two'), read('session', 'x'), () => a.transaction(read('session', 'x'))],
      ])
      assert.deepEqual(codes, ['ended', DEADLOCK])
      assert.deepEqual(cask.locks(), [])
    })

    test('through three accounts', async t => {
      const { cask } = await openHere(t)
      const all = ['a', 'b', 'c'].map(name => cask.account(name).keys)
      const codes = await cross(all.map((keys, n) => [work => keys.transaction(work), write('other', 'x'), () => all[(n + 1) % 3].transaction(write('other', 'x'))]))
      assert.deepEqual(codes, ['ended', 'ended', DEADLOCK])
    })

    test('through one that goes back to its own account inside one of another', async t => {
      const { cask } = await openHere(t)
      const [a, b] = ['a', 'b'].map(name => cask.account(name).keys)
      // `b` holds b/x inside the transaction of `a`, and inside of it `a` wants a/y.
      const stranger = standing(work => a.transaction(work, 'stranger'), read('session', 'y'), () => b.transaction(read('session', 'x')))
      await stranger.entered
      const outer = a.transaction(() => b.transaction(async tx => {
        await tx.get('session', ['x'])
        stranger.leave()
        await turns()
        await a.get('session', ['y'])
      }, 'inside'), 'outer')
      const codes = await within(SOON_MS, 'both', Promise.all([codeOf(outer), codeOf(stranger.ended)]))
      assert.equal(codes.filter(code => code === DEADLOCK).length, 1, codes.join())
      assert.deepEqual(cask.locks(), [])
    })

    // The transaction around it waits for the set, as it does for a transaction of that account.
    for (const [how, call] of [['a plain set', ({ keys }) => keys.set({ session: { x: 1 } })], ['a clear', ({ keys }) => keys.clear()], ['saveCreds', account => account.saveCreds({ a: 1 })]]) {
      test(`through ${how} of another account inside`, async t => {
        const { cask } = await openHere(t)
        const [a, b] = ['a', 'b'].map(name => cask.account(name))
        const other = standing(work => b.keys.transaction(work, 'other'), async tx => { await tx.get('session', ['x']); await tx.setCreds({ b: 1 }) }, () => a.keys.transaction(read('session', 'x')))
        const mine = standing(work => a.keys.transaction(work, 'mine'), read('session', 'x'), () => call(b))
        afterwards(t, () => b.drop())
        await Promise.all([mine.entered, other.entered])
        const codes = Promise.all([codeOf(mine.ended), codeOf(other.ended)])
        mine.leave()
        await turns()
        other.leave()
        assert.equal((await within(SOON_MS, 'both ends', codes)).filter(code => code === DEADLOCK).length, 1)
      })
    }
  })

  test('across two casks only a limit helps, and it does: both end', async t => {
    const [one, other] = [await openHere(t, { lockTimeoutMs: 50 }), await openHere(t, { lockTimeoutMs: 50 })].map(({ keys }) => keys)
    const codes = await cross([
      [work => one.transaction(work), read('session', 'x'), () => other.transaction(read('session', 'x'))],
      [work => other.transaction(work), read('session', 'x'), () => one.transaction(read('session', 'x'))],
    ])
    assert.ok(codes.includes('ERR_CASK_LOCK_TIMEOUT') && !codes.includes(DEADLOCK), codes.join())
  })

  // Such a child frees its locks when it ends, which would open the circle. To wait for that is no way out: it may yet join, and then the
  // circle would be closed with nobody beginning to wait.
  describe('what is seen as one, though it might have opened', () => {
    const oneIsRefused = async (parent, stranger, again) => {
      assert.deepEqual(await within(SOON_MS, 'both', Promise.all([parent, codeOf(stranger.ended)])), ['ended', DEADLOCK])
      assert.equal(await within(SOON_MS, 'a retry', retried(again)), 0)
    }

    test('through an independent child, for which a stranger waits, while the parent waits for that one', async t => {
      const { keys } = await openHere(t)
      const stranger = standing(work => keys.transaction(work, 'stranger'), read('session', 'b'), read('session', 'a'))
      await stranger.entered
      const child = gate()
      const held = gate()
      const parent = codeOf(keys.transaction(async tx => {
        const independent = tx.transaction(async inner => { await inner.set({ session: { a: 1 } }); held.open(); await child.opened }, 'child', { nested: 'independent' })
        await held.opened
        const own = tx.get('session', ['b'])
        await turns()
        stranger.leave()
        await turns()
        child.open()
        await Promise.all([independent, own])
      }, 'parent'))
      await oneIsRefused(parent, stranger, () => keys.transaction(async tx => { await tx.get('session', ['b']); await tx.get('session', ['a']) }, 'stranger'))
    })

    test('through a transaction of another account inside, for which a stranger waits, while the one around it waits for that one', async t => {
      const { cask } = await openHere(t)
      const [a, b] = ['a', 'b'].map(name => cask.account(name).keys)
      const stranger = standing(work => a.transaction(work, 'stranger'), read('session', 'x'), () => b.transaction(read('session', 'x')))
      await stranger.entered
      const [held, inside] = [gate(), gate()]
      const outer = codeOf(a.transaction(async tx => {
        const other = b.transaction(async inner => { await inner.get('session', ['x']); held.open(); await inside.opened })
        await held.opened
        const own = tx.get('session', ['x'])
        await turns()
        stranger.leave()
        await turns()
        inside.open()
        await Promise.all([other, own])
      }, 'outer'))
      await oneIsRefused(outer, stranger, () => a.transaction(async tx => { await tx.get('session', ['x']); await b.transaction(read('session', 'x')) }, 'stranger'))
    })
  })

  describe('what is none', () => {
    test('waiting in one order, however many', async t => {
      const { keys } = await openHere(t)
      const codes = await within(SOON_MS, 'all', Promise.all(Array.from({ length: 40 }, (_, n) => codeOf(keys.transaction(async tx => {
        for (const id of ['a', 'b', 'c'].slice(n % 3)) {
          await (n % 2 ? tx.get('session', [id]) : tx.transaction(write('session', id)))
          await turns(1)
        }
      }, `label ${n % 5}`)))))
      assert.deepEqual([...new Set(codes)], ['ended'])
    })

    test('a plain set that waits for both, whatever came first: nobody is refused', async t => {
      const { cask, keys } = await openHere(t)
      const one = standing(work => keys.transaction(work), read('session', 'a'), read('session', 'c'))
      const two = standing(work => keys.transaction(work), read('session', 'b'), read('session', 'a'))
      await Promise.all([one.entered, two.entered])
      const sets = [keys.set({ session: { a: 'set', b: 'set', c: 'set' } }), keys.set({ session: { c: 'set', b: 'set' } }), keys.clear()]
      const listing = keys.transaction(tx => collect(tx.listIds('session')))
      two.leave()
      await turns()
      one.leave()
      assert.deepEqual(await within(SOON_MS, 'all', Promise.all([one.ended, two.ended, ...sets, listing].map(codeOf))), Array(6).fill('ended'))
      assert.deepEqual(cask.locks(), [])
    })

    test('a place in line: one waits behind another for a record that neither holds', async t => {
      const { keys } = await openHere(t)
      const holder = standing(work => keys.transaction(work), read('session', 'k'))
      const behind = standing(work => keys.transaction(work), read('session', 'l'), read('session', 'k'))
      await Promise.all([holder.entered, behind.entered])
      // The one ahead waits for l of the one behind it, and for k, which is nobody's of the two.
      const ahead = codeOf(keys.transaction(tx => Promise.all([tx.transaction(read('session', 'k')), tx.transaction(read('session', 'l'))])))
      await turns()
      behind.leave()
      await turns()
      holder.leave()
      assert.deepEqual(await within(SOON_MS, 'all', Promise.all([codeOf(holder.ended), codeOf(behind.ended), ahead])), ['ended', 'ended', 'ended'])
    })

    test('a child that waits for its sibling, and a stranger that waits for both', async t => {
      const { keys } = await openHere(t)
      const held = gate()
      let stranger
      await within(SOON_MS, 'the parent', keys.transaction(tx => Promise.all([
        tx.transaction(async inner => { await inner.get('session', ['a']); held.open(); await turns(8) }),
        held.opened.then(() => {
          stranger = codeOf(detached(() => keys.transaction(write('session', 'a'))))
          return tx.transaction(read('session', 'a'))
        }),
        held.opened.then(() => tx.get('session', ['a'])),
      ])))
      assert.equal(await within(SOON_MS, 'the stranger', stranger), 'ended')
    })
  })
})

describe('across threads', () => {
  for (const [what, optionsFor] of [['in memory', () => ({ name: `deadlocks ${process.pid} ${Math.random()}` })]]) {
    test(`${what}: a circle of records through three threads has one victim`, async t => {
      const options = optionsFor()
      const { keys } = (await open(t, options)).account()
      const workers = await Promise.all([startWorker(t), startWorker(t)])
      const there = workers.map((worker, n) => worker.run(async ({ openCask, gate, say }, { options, mine, next }) => {
        const { keys } = (await openCask(options)).account()
        return keys.transaction(async tx => {
          await tx.set({ session: { [mine]: 1 } })
          say('holds')
          await gate('go')
          await tx.transaction(inner => inner.get('session', [next]))
        }, mine).then(() => 'ended', error => `${error.code} ${error.label} ${error.records.map(({ id }) => id)} ${error.stack.includes('remote-main')}`)
      }, { options, mine: `${n + 1}`, next: `${(n + 2) % 3}` }))
      const here = standing(work => keys.transaction(work, '0'), write('session', '0'), tx => tx.get('session', ['1']))
      await here.entered
      for (const worker of workers) await worker.heard('holds')
      for (const worker of workers) worker.open('go')
      here.leave()
      const codes = await within(SOON_MS, 'all three', Promise.all([codeOf(here.ended), ...there]))
      assert.equal(codes.filter(code => code === 'ended').length, 2, codes.join())
      const [victim] = codes.filter(code => code !== 'ended')
      assert.match(victim, /^ERR_CASK_DEADLOCK/)
      if (victim !== DEADLOCK) assert.match(victim, /^ERR_CASK_DEADLOCK [12] 0,1,2 /)
    })
  }
})
