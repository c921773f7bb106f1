// Small histories, deletes and clears among them, and a search for an order that explains all their answers.
//
// CASK_SEED: first seed; CASK_HISTORY_SEEDS: how many seeds, 40 without it.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { open } from './helpers/casks.mjs'
import { afterwards } from './helpers/cleanup.mjs'
import { newPath } from './helpers/folders.mjs'
import { within } from './helpers/gate.mjs'
import { baileysStore } from './history/baileys-store.mjs'
import { check } from './history/checker.mjs'
import { findOrder } from './history/exhaustive.mjs'
import { keep } from './history/expect.mjs'
import { modelStore } from './history/model-store.mjs'
import { serialHistory, withOneReadSwapped } from './history/serial.mjs'
import { makeSmallPlan } from './history/small.mjs'
import { story } from './history/story.mjs'
import { ANOMALIES, CLEAN } from './history/stories.mjs'
import { tell } from './history/tell.mjs'
import { Threads } from './history/threads.mjs'
import { runWorkload } from './history/workload.mjs'

const FIRST_SEED = Number(process.env.CASK_SEED ?? Date.now() % 2 ** 31)
const SEEDS = Number(process.env.CASK_HISTORY_SEEDS ?? 24)
const RUN_MS = 15_000

/** Stories about matters that an order of whole transactions says nothing of; and of writes to lists that did not read them first. */
const ELSEWHERE = /independent|label alone|unknown|sibling|answered after|before the commit|opposite order|without a read|a plain set between/

const run = (seed, accounts, options) => within(RUN_MS, `the workload of seed ${seed}`, runWorkload(accounts, { seed, planFor: makeSmallPlan, ...options }))

/** Fails with the history where nothing explains it. */
function expectOrder(seed, { history, unexpected }) {
  for (const { error, step } of unexpected) assert.fail(`seed ${seed}: ${error.stack}\nin ${JSON.stringify(step)}`)
  const order = findOrder(history)
  if (order) return order
  return assert.fail(`seed ${seed}: no order explains the history in ${keep(seed, history)}\n${tell(history, history.transactions.map(({ id }) => id))}`)
}

describe('the search', () => {
  test('finds the order in which things ran', () => {
    for (let seed = 0; seed < 30; seed++) {
      const history = serialHistory(seed)
      assert.ok(findOrder(history), `seed ${seed}`)
      assert.equal(findOrder(withOneReadSwapped(history, seed)), undefined, `seed ${seed}, with one read swapped`)
    }
    assert.deepEqual(findOrder(story(CLEAN['a reader that takes effect before the writer that ends first'])), ['a', 'b', 'p'])
  })

  for (const [what, told] of Object.entries(CLEAN)) if (!ELSEWHERE.test(what)) test(`explains: ${what}`, () => assert.ok(findOrder(story(told))))

  for (const [what, [, told]] of Object.entries(ANOMALIES)) {
    if (!ELSEWHERE.test(what)) test(`explains not: ${what}`, () => assert.equal(findOrder(story(told)), undefined))
  }

  test('finds an order for whatever a right store does', async () => {
    for (let seed = 0; seed < 40; seed++) {
      const store = modelStore()
      expectOrder(seed, await run(seed, { a: store.account('a') }))
      assert.ok(store.locksAreFree, `seed ${seed}: ${store.locks}`)
    }
  })

  for (const fault of ['no record locks', 'reads take no locks', 'a child gives its locks back', 'a failed child leaves its writes', 'a joined child commits at once', 'plain reads are late', 'a list takes no lock', 'a plain set waits for nobody']) {
    test(`finds none where ${fault}`, async () => {
      for (let seed = 0; ; seed++) {
        assert.ok(seed < 200, 'everything was explained')
        const { history } = await run(seed, { a: modelStore([fault]).account('a') })
        if (!findOrder(history)) return
      }
    })
  }

  test('and the graph of dependencies come to the same where nothing is deleted', async () => {
    // What the graph accepts may be wrong all the same, since it does not know the order of all versions; what is found in whole
    // transactions by the graph, the search must find.
    let both = 0
    for (let seed = 0; seed < 40; seed++) {
      const { history } = await run(seed, { a: modelStore(seed % 2 ? ['a reader may write beside other readers'] : []).account('a') }, { deletes: false })
      const isGood = check(history).length === 0
      assert.equal(findOrder(history) !== undefined, isGood, `seed ${seed}`)
      if (!isGood) both++
    }
    assert.ok(both > 0)
  })

  test('finds none for Baileys\' own transactions', async () => {
    const increments = label => [{ do: 'transaction', label, pause: 'none', account: 'a', retries: 0, work: [{ do: 'append', family: 'session', ids: ['l1'], pause: 'turn', between: 'turn' }] }]
    const { history } = await runWorkload({ a: { keys: baileysStore() } }, { planFor: () => ['x', 'y'].map(increments) })
    assert.equal(findOrder(history), undefined)
  })
})

describe(`what a cask does can be explained, from seed ${FIRST_SEED}`, () => {
  for (const [place, optionsFor] of Object.entries({ 'in memory': seed => ({ name: `search ${process.pid} ${seed}` }), 'in a folder': (seed, path) => ({ path: `${path}-${seed}` }) })) {
    test(`in one thread, ${place}`, async t => {
      const path = newPath(t)
      for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
        const cask = await open(t, optionsFor(seed, path))
        expectOrder(seed, await run(seed, { a: cask.account('a') }))
        await cask.close()
      }
    })

    test(`in two threads, ${place}`, async t => {
      const path = newPath(t)
      const threads = new Threads(2)
      afterwards(t, () => threads.end())
      for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
        expectOrder(seed, await within(RUN_MS, `the workload of seed ${seed}`, threads.runWorkload(optionsFor(seed, path), { seed, accounts: ['a'], clients: 2, planFor: makeSmallPlan })))
      }
    })
  }
})
