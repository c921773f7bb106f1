// Transactions inside each other at random, call by call against plain maps.
//
// CASK_SEED: the first seed; without it another one in each run. CASK_NESTING_SEEDS: how many. A failure names its seed and its calls.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { detached } from 'baileys-cask'
import { collect, inEveryPlace, open, recordsOf } from './helpers/casks.mjs'
import { nestedModel } from './helpers/nested-model.mjs'

const FIRST_SEED = Number(process.env.CASK_SEED ?? Date.now() % 2 ** 31)
const FAMILIES = ['session', 'lid-mapping', 'other']
const IDS = ['a', 'b', 'c', 'd']
const DEEPEST = 5

/** Numbers below n, the same for the same seed. */
function randomFrom(seed) {
  let state = seed >>> 0
  return below => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

class Undone extends Error {}

async function run(cask, seed) {
  const random = randomFrom(seed)
  const pick = list => list[random(list.length)]
  const account = cask.account(`seed ${seed}`)
  const { keys } = account
  const model = nestedModel()
  const told = []
  let values = 0

  const compare = (what, found, expected) => assert.deepEqual(found, expected, `${what}\n${told.join('\n')}`)
  const seen = async (store, level, family) => compare(`${family} at depth ${level.depth}`, await recordsOf(store, family), model.records(level, family))

  /** One call of the transaction `tx` at `level`, or outside of all. */
  async function call(tx, level) {
    const store = tx && random(2) ? tx : keys
    const family = pick(FAMILIES)
    const kind = random(20)
    const say = what => told.push(`${'  '.repeat(level.depth)}${what}`)
    if (kind < 6) {
      const ids = IDS.filter(() => random(2))
      say(`get ${family} ${ids}`)
      compare('get', { ...await store.get(family, ids) }, model.get(level, family, ids))
    } else if (kind < 14) {
      const data = {}
      for (let left = 1 + random(4); left > 0; left--) (data[pick(FAMILIES)] ??= {})[pick(IDS)] = random(3) ? `v${++values}` : pick([null, undefined])
      say(`set ${JSON.stringify(data)}`)
      await store.set(data)
      model.set(level, data)
    } else if (kind < 15) {
      say('clear')
      await store.clear()
      model.clear(level)
    } else if (kind < 17) {
      say(`list ${family}`)
      model.touch(level, family)
      await seen(store, level, family)
    } else if (kind < 18) {
      say(`ids ${family}`)
      model.touch(level, family)
      compare('ids', (await collect(store.listIds(family))).sort(), model.records(level, family).map(([id]) => id))
    } else if (kind < 19) {
      const creds = { n: ++values }
      say(`setCreds ${values}`)
      if (tx) {
        await tx.setCreds(creds)
        model.setCreds(level, creds)
      } else {
        await account.saveCreds(creds)
        model.saveCreds(level, creds)
      }
    } else {
      const creds = { n: ++values }
      say(`saveCreds ${values}`)
      await account.saveCreds(creds)
      model.saveCreds(level, creds)
    }
    if (tx) compare('joined', tx.joined, level.joined)
  }

  async function steps(tx, level) {
    for (let left = 1 + random(5); left > 0; left--) {
      if (level.depth < DEEPEST && random(3) === 0) await nest(tx, level)
      else await call(tx, level)
    }
  }

  async function nest(tx, around) {
    const options = pick([undefined, undefined, { nested: 'independent' }, { nested: 'independent' }, { isolation: 'label' }, { isolation: 'label', nested: 'independent' }])
    const label = pick([undefined, 'one', 'two'])
    const fails = random(3) === 0
    const level = model.begin(around, options?.nested === 'independent')
    told.push(`${'  '.repeat(around.depth)}begin ${label} ${JSON.stringify(options)} ${fails ? 'to be undone' : ''}`)
    const work = async inner => {
      await steps(inner, level)
      if (fails) throw new Undone()
    }
    const store = tx && random(2) ? tx : keys
    const ended = random(4)
      ? store.transaction(work, label, options)
      : store.transactWith({ records: [{ type: pick(FAMILIES), id: pick(IDS) }, { type: 'session', id: pick(IDS) }] }, work, options)
    await ended.then(() => assert.ok(!fails), error => {
      if (!(error instanceof Undone)) throw Object.assign(error, { message: `${error.message}\n${told.join('\n')}` })
    })
    told.push(`${'  '.repeat(around.depth)}end`)
    model.end(level, !fails)
    // What others see, whatever is staged.
    await detached(async () => {
      for (const family of FAMILIES) await seen(keys, model.outside, family)
      compare('creds', await account.loadCreds(), model.outside.creds)
    })
    if (tx) compare('joined', tx.joined, around.joined)
  }

  for (let round = 0; round < 6; round++) {
    await steps(undefined, model.outside)
    compare('locks', cask.locks(), [])
  }
  await account.drop()
}

inEveryPlace(place => {
  const seeds = Number(process.env.CASK_NESTING_SEEDS ?? (place.isFile ? 12 : 150))
  describe('nested transactions at random', () => {
    test(`${seeds} histories are as plain maps have them`, async t => {
      const cask = await open(t, await place.optionsFor(t))
      for (let seed = FIRST_SEED; seed < FIRST_SEED + seeds; seed++) {
        try {
          await run(cask, seed)
        } catch (error) {
          error.message = `seed ${seed}: ${error.message}`
          throw error
        }
      }
    })
  })
})
