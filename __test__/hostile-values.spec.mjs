// The JavaScript API under values that were made to harm: an error or the value, never half of a set, never a changed prototype,
// never the end of the process. CASK_FUZZ=seconds runs it for so much processor time, with other seeds.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { openCask } from 'baileys-cask'
import { World, action } from './hostile/actions.mjs'
import { firstDifference, sharedProperties } from './hostile/prototypes.mjs'
import { budget, LIMIT, SECONDS } from './hostile/budget.mjs'
import { newPath } from './helpers/folders.mjs'

const PLACES = { 'in memory': () => ({}), 'in a folder': t => ({ path: newPath(t) }) }

for (const [name, optionsFor] of Object.entries(PLACES)) {
  test(`hostile values, ${name}`, LIMIT, async t => {
    const escaped = []
    const escape = error => escaped.push(error)
    process.on('uncaughtException', escape)
    process.on('unhandledRejection', escape)
    t.after(() => process.off('uncaughtException', escape).off('unhandledRejection', escape))
    const shared = sharedProperties()
    const { spent, isLeft } = budget(Object.keys(PLACES).length)
    let [seed, runs, calls] = [20_261, 0, 0]
    do {
      await fc.assert(fc.asyncProperty(fc.array(action, { minLength: 1, maxLength: 6 }), async actions => {
        const cask = await openCask(optionsFor(t))
        try {
          const world = new World(cask)
          await world.keys.set({ session: { a: { n: 1 }, b: 'kept' }, 'lid-mapping': { '__proto__': 'x' } })
          for (const action of actions) {
            await world.run(action)
            calls++
          }
        } finally {
          await cask.close()
        }
        await new Promise(resolve => setImmediate(resolve))
        assert.deepEqual(escaped.splice(0), [], 'an error escaped')
        assert.equal(firstDifference(shared, sharedProperties()), undefined, 'what everybody shares has changed')
        runs++
      }), { seed: seed++, numRuns: SECONDS ? 500 : 150, includeErrorInReport: true })
    } while (isLeft())
    t.diagnostic(`${runs} casks, ${calls} calls, seeds 20261 to ${seed - 1}, ${spent().toFixed(0)} s of a processor`)
  })
}
