// Transactions at random, what happened written down, and a search through that for what transactions must not show.
//
// CASK_SEED: first seed of the casks' workloads; without it another one in each run.
// CASK_HISTORY_SEEDS: how many seeds each of them runs, 40 without it; a few thousand make a long campaign.
// Where a cask fails, the message has the seed, the anomalies and what the transactions of the first did; the whole history is
// in the file that it names. One seed gives one plan, but threads and timers meet differently each time.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { open } from './helpers/casks.mjs'
import { afterwards } from './helpers/cleanup.mjs'
import { newPath } from './helpers/folders.mjs'
import { gate, isPending, within } from './helpers/gate.mjs'
import { baileysStore } from './history/baileys-store.mjs'
import { check, namesOf } from './history/checker.mjs'
import { assertHappened, expectNone } from './history/expect.mjs'
import { FAULTS, modelStore } from './history/model-store.mjs'
import { FEATURES, NO_FEATURES, makePlan } from './history/plan.mjs'
import { serialHistory, withOneReadSwapped } from './history/serial.mjs'
import { ANOMALIES, CLEAN } from './history/stories.mjs'
import { story } from './history/story.mjs'
import { Threads } from './history/threads.mjs'
import { runWorkload } from './history/workload.mjs'

const FIRST_SEED = Number(process.env.CASK_SEED ?? Date.now() % 2 ** 31)
const SEEDS = Number(process.env.CASK_HISTORY_SEEDS ?? 24)
const RUN_MS = 15_000

/** Limits that a cask has in the runs in which some work hangs. */
const LIMITS = { transactionTimeoutMs: 25, lockTimeoutMs: 10 }

const accountsOf = store => ({ a: store.account('a'), b: store.account('b') })

describe('the checker', () => {
  for (const [what, told] of Object.entries(CLEAN)) test(`finds nothing in: ${what}`, () => assert.deepEqual(check(story(told)), []))

  for (const [what, [names, told]] of Object.entries(ANOMALIES)) {
    test(`finds ${names.join(', ')} in: ${what}`, () => {
      const anomalies = check(story(told))
      assert.deepEqual(namesOf(anomalies), names)
      for (const { message, transactions } of anomalies) assert.ok(message && Array.isArray(transactions))
    })
  }

  test('shows a circle as the edges that make it', () => {
    const [{ circle, message }] = check(story(ANOMALIES['write skew'][1]))
    assert.deepEqual(circle.map(({ from, type, to }) => [from.id, type, to.id]), [['a', 'rw', 'b'], ['b', 'rw', 'a']])
    assert.match(message, /^a read \(initial\) from y, replaced by b1 of b; b read \(initial\) from x, replaced by a1 of a$/)
  })

  test('lets time be where it is told to', () => {
    for (const what of ['a late plain read', 'a register goes back', 'an order against time, by way of a third']) {
      assert.deepEqual(check(story(ANOMALIES[what][1]), { realTime: false }), [], what)
    }
    assert.deepEqual(namesOf(check(story(ANOMALIES['write skew'][1]), { realTime: false })), ['G2'])
  })

  test('finds nothing in what ran one after another, and something once one read is another', () => {
    for (let seed = 0; seed < 100; seed++) {
      const history = serialHistory(seed)
      assert.deepEqual(check(history), [], `seed ${seed}`)
      assert.deepEqual(check(serialHistory(seed, { overlap: 40 })), [], `seed ${seed}, with ends that overlap`)
      assert.notDeepEqual(check(withOneReadSwapped(history, seed)), [], `seed ${seed}, with one read swapped`)
    }
  })

  test('leaves a history as it was', () => {
    const history = serialHistory(1)
    const before = structuredClone(history)
    check(history)
    assert.deepEqual(history, before)
  })
})

describe('the workload', () => {
  test('depends on the seed alone', () => {
    assert.deepEqual(makePlan(7), makePlan(7))
    assert.notDeepEqual(makePlan(7), makePlan(8))
    assert.deepEqual(JSON.parse(JSON.stringify(makePlan(7))), JSON.parse(JSON.stringify(makePlan(7))))
  })

  test('shows no anomaly in a store that does what it promises, and leaves no lock', async () => {
    const seen = {}
    for (let seed = 0; seed < 40; seed++) {
      const store = modelStore()
      expectNone(seed, await run(seed, accountsOf(store)), seen)
      assert.ok(store.locksAreFree, `seed ${seed}: ${store.locks}`)
    }
    assertVaried(seen)
  })

  /** What each fault shows, among other things. */
  const SHOWS = {
    'no record locks': ['lost update', 'G2'],
    'reads take no locks': ['lost update', 'G-single'],
    'a reader may write beside other readers': ['lost update'],
    'a child gives its locks back': ['lost update'],
    'siblings do not exclude each other': ['lost update'],
    'a failed child leaves its writes': ['G1a'],
    'a joined child commits at once': ['G1a', 'dirty read'],
    'an independent child reads what is staged': ['dirty read', 'G1a'],
    'a commit comes in pieces': ['fractured read'],
    'plain reads see what is staged': ['G1a', 'dirty read'],
    'plain reads are late': ['strict serializability'],
    'own writes are not seen': ['read your writes'],
    'a commit is lost': ['strict serializability'],
    'a plain set waits for nobody': ['G-single'],
    'a doomed transaction commits': ['lost update'],
    'a doomed transaction still writes': ['G1a', 'late call'],
    'a list takes no lock': ['non-repeatable read'],
    'a commit waits for nothing inside': ['lost update'],
    'labels lock nobody': ['lost update'],
    'saveCreds joins what is around it': ['strict serializability'],
    'a doomed transaction still reads': ['read your writes', 'non-repeatable read'],
  }
  for (const fault of FAULTS) {
    test(`shows ${SHOWS[fault].join(' and ')} where ${fault}`, async () => {
      const missing = new Set(SHOWS[fault])
      for (let seed = 0; missing.size > 0; seed++) {
        assert.ok(seed < 200, `no ${[...missing]} in ${seed} seeds`)
        const { history } = await run(seed, accountsOf(modelStore([fault])))
        for (const name of namesOf(check(history))) missing.delete(name)
      }
    })
  }
})

describe('Baileys\' own transactions', () => {
  async function namesIn(seeds, options) {
    const names = {}
    for (let seed = 0; seed < seeds; seed++) {
      const { history, unexpected } = await runWorkload({ a: { keys: baileysStore() } }, { seed, ...options })
      assert.deepEqual(unexpected, [])
      for (const name of namesOf(check(history))) names[name] = (names[name] ?? 0) + 1
    }
    return names
  }

  test('lose updates of one record under two labels', async () => {
    const names = await namesIn(8, { features: NO_FEATURES, failures: 0 })
    assert.ok(names['lost update'] >= 6, JSON.stringify(names))
  })

  test('keep what a failed transaction inside another has written', async () => {
    const names = await namesIn(12, { features: { ...NO_FEATURES, nested: true }, failures: 0.4 })
    assert.ok(names.G1a >= 6, JSON.stringify(names))
  })

  test('let each of two write what the other has read', async () => {
    // Both look at two lists, and each appends to another one of them.
    const client = own => [{ do: 'transaction', label: own, pause: 'none', account: 'a', retries: 0, work: [
      { do: 'get', family: 'session', ids: ['l1', 'l2'], pause: 'turn' },
      { do: 'append', family: 'session', ids: [own], pause: 'turn', between: 'none' },
    ] }]
    const { history } = await runWorkload({ a: { keys: baileysStore() } }, { planFor: () => [client('l1'), client('l2')], features: NO_FEATURES })
    assert.deepEqual(namesOf(check(history)), ['G2'])
  })

  test('drop what is not awaited', async () => {
    // One client alone: nothing else can be wrong.
    assert.notDeepEqual(await namesIn(12, { features: { ...NO_FEATURES, nested: true, unawaited: true }, clients: 1, failures: 0 }), {})
    assert.deepEqual(await namesIn(12, { features: { ...NO_FEATURES, nested: true }, clients: 1, failures: 0 }), {})
  })
})

describe(`a cask shows no anomaly, from seed ${FIRST_SEED}`, () => {
  const PLACES = { 'in memory': seed => ({ name: `history ${process.pid} ${seed}` }), 'in a folder': (seed, path) => ({ path: `${path}-${seed}` }) }
  const shareOf = { 'in memory': 1, 'in a folder': 0.5 }

  for (const [place, optionsFor] of Object.entries(PLACES)) {
    const last = FIRST_SEED + Math.ceil(SEEDS * shareOf[place])

    test(`in one thread, ${place}`, async t => {
      const path = newPath(t)
      const seen = {}
      for (let seed = FIRST_SEED; seed < last; seed++) {
        const cask = await open(t, optionsFor(seed, path))
        expectNone(seed, await run(seed, accountsOf(cask)), seen)
        assert.deepEqual(cask.locks(), [], `seed ${seed}`)
        await cask.close()
      }
      if (SEEDS >= 40) assertVaried(seen)
    })

    test(`in three threads, ${place}`, async t => {
      const path = newPath(t)
      const threads = new Threads(3)
      afterwards(t, () => threads.end())
      const seen = {}
      for (let seed = FIRST_SEED; seed < last; seed++) {
        expectNone(seed, await within(RUN_MS, `the workload of seed ${seed}`, threads.runWorkload(optionsFor(seed, path), { seed, features: FEATURES })), seen)
      }
      if (SEEDS >= 40) assertVaried(seen)
    })

    test(`in three threads of which one ends in the middle of its work, ${place}`, async t => {
      const path = newPath(t)
      const threads = new Threads(3)
      afterwards(t, () => threads.end())
      const seen = {}
      // They take longer, as do the next.
      for (let seed = FIRST_SEED; seed < FIRST_SEED + (last - FIRST_SEED) / 2; seed++) {
        const result = await within(RUN_MS, `the workload of seed ${seed}`, threads.runWorkload(optionsFor(seed, path), { seed, features: FEATURES, deaths: 1 }))
        expectNone(seed, result, seen)
        seen.died = (seen.died ?? 0) + result.died
      }
      if (SEEDS >= 40) assertHappened(seen, ['died', 'unknown'])
    })

    test(`in two threads with work that hangs, ${place}`, async t => {
      const path = newPath(t)
      const threads = new Threads(2)
      afterwards(t, () => threads.end())
      const seen = {}
      for (let seed = FIRST_SEED; seed < FIRST_SEED + (last - FIRST_SEED) / 4; seed++) {
        const options = { ...optionsFor(seed, path), ...LIMITS }
        expectNone(seed, await within(RUN_MS, `the workload of seed ${seed}`, threads.runWorkload(options, { seed, features: FEATURES, limits: true })), seen)
      }
      if (last - FIRST_SEED >= 40) assertHappened(seen, ['aborted: ERR_CASK_LOCK_TIMEOUT', 'aborted: ERR_CASK_TRANSACTION_TIMEOUT'])
    })
  }
})

describe('what histories have shown', () => {
  test('a call on a record that a running child has written waits for the child, also where it was locked before', async t => {
    const cask = await open(t)
    const { keys } = cask.account('a')
    await keys.transaction(async outer => {
      await outer.set({ session: { x: { by: 'outer' } } })
      const [isWritten, goesOn] = [gate(), gate()]
      const child = outer.transaction(async inner => {
        await inner.set({ session: { x: { by: 'inner' } } })
        isWritten.open()
        await goesOn.opened
      })
      await isWritten.opened
      const read = outer.get('session', ['x'])
      const write = outer.set({ session: { x: { by: 'outer again' } } })
      const [readWaits, writeWaits] = [await isPending(read), await isPending(write)]
      goesOn.open()
      await child
      assert.deepEqual([readWaits, writeWaits, await read], [true, true, { x: { by: 'inner' } }])
      await write
    })
    assert.deepEqual(await keys.get('session', ['x']), { x: { by: 'outer again' } })
  })

  test('a list inside a transaction that is given up ends with it, and shows nothing from after that', async t => {
    const cask = await open(t)
    const { keys } = cask.account('a')
    await keys.set({ session: { 1: { n: 0 }, 2: { n: 0 } } })
    const [isAtFirst, goesOn, controller] = [gate(), gate(), new AbortController()]
    const seen = []
    let listed
    const outcome = keys.transaction(async outer => {
      await outer.set({ session: { 1: { n: 1 }, 2: { n: 1 } } })
      listed = outer.transaction(async inner => {
        for await (const [, { n }] of inner.list('session')) {
          seen.push(n)
          isAtFirst.open()
          await goesOn.opened
        }
      })
      await listed
    }, undefined, { signal: controller.signal })
    outcome.catch(() => {})
    await isAtFirst.opened
    controller.abort()
    await assert.rejects(outcome, { code: 'ERR_CASK_ABORTED' })
    await keys.set({ session: { 1: { n: 2 }, 2: { n: 2 } } })
    goesOn.open()
    await assert.rejects(listed, { code: 'ERR_CASK_ABORTED' })
    assert.deepEqual(seen, [1])
  })
})

function run(seed, accounts) {
  return within(RUN_MS, `the workload of seed ${seed}`, runWorkload(accounts, { seed, features: FEATURES }))
}

/** A workload in which nothing happens shows no anomaly either. */
function assertVaried(seen) {
  assertHappened(seen, [
    'aborted, join', 'committed, join', 'aborted, independent', 'committed, independent', 'committed, isolated', 'aborted: ERR_CASK_DEADLOCK',
    'aborted: ERR_CASK_TRANSACTION_TIMEOUT', 'aborted: ERR_CASK_ABORTED', 'aborted: on purpose', 'plain get', 'plain set', 'plain list', 'plain saveCreds', 'plain loadCreds',
    'committed, alone',
  ])
  assert.ok(seen.committed > seen.aborted, JSON.stringify(seen))
}
