// A worker thread is terminated mid-transaction, again and again: no lock is left, nothing crashes, memory stays flat.
// 100 times; CASK_TERMINATIONS=1000 in the environment makes it 1,000, which takes a minute or two.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { recordsOf } from './helpers/casks.mjs'
import { newPath } from './helpers/folders.mjs'
import { until, within } from './helpers/gate.mjs'
import { collectGarbage } from './helpers/gc.mjs'
import { partiesOf, sharing, standingHere, waiters, workerWith } from './helpers/threads.mjs'

const COUNT = Number(process.env.CASK_TERMINATIONS ?? 100)
/** Workers that live at the same time: one starts while another one ends. */
const LANES = 2
const FREE_WITHIN_MS = 500
/** What the process may have grown by between the first fifth and the end. Measured over 1,000: 2 MB. */
const MAX_GROWTH_BYTES = 16 * 2 ** 20

/** What a worker does when it is terminated. Each says `ready` where it is about to stand still, wait, or go on for ever. */
const STATES = {
  'stands still in its work': ({ kept, say }) => kept.keys.transaction(async tx => {
    await tx.set({ session: { mine: 'lost', [`${kept.n}`]: 'lost' } })
    await tx.get('lid-mapping', ['a', 'b'])
    say('ready')
    await new Promise(() => {})
  }, 'label'),
  'waits for a label, a record, and with plain writes': async ({ kept, say }) => {
    const { keys, account } = kept
    const calls = [
      keys.transaction(tx => tx.set({ session: { lost: 1 } }), 'held'), keys.transaction(tx => tx.get('session', ['held'])), keys.set({ session: { held: 'lost' } }),
      keys.transaction(tx => tx.set({ session: { held: 'lost' } }), undefined, { isolation: 'label' }), account.saveCreds({ lost: true }),
    ]
    say('ready')
    await Promise.all(calls)
  },
  'has children': ({ kept, say }) => kept.keys.transaction(async tx => {
    await tx.set({ session: { lost: 1 } })
    const hung = () => new Promise(() => {})
    const writes = async inner => {
      await inner.set({ other: { lost: 1 } })
      await hung()
    }
    const children = [tx.transaction(hung, 'a'), tx.transaction(hung, 'a'), tx.transaction(writes, 'b', { nested: 'independent' })]
    say('ready')
    await Promise.all(children)
  }),
  'commits one transaction after the other': async ({ kept, say }) => {
    for (let n = 0; ; n++) {
      await kept.keys.transaction(async tx => {
        const { commits = 0 } = await tx.get('other', ['commits'])
        await tx.set({ other: { commits: commits + 1, twin: commits + 1 } })
      }, 'counter')
      if (n === 3) say('ready')
    }
  },
  'opens more handles and lists': async ({ kept, openCask, say }) => {
    say('ready')
    for (;;) {
      const cask = await openCask(kept.options)
      await cask.account().keys.transaction(async tx => { for await (const record of tx.list('pre-key')) void record })
      await cask.close()
    }
  },
}

for (const [place, optionsFor] of Object.entries({
  'in memory': () => ({ name: `terminations ${process.pid}` }),
  'in a folder': t => ({ path: newPath(t) }),
})) {
  const count = Math.ceil(COUNT / 2)
  test(`${count} workers terminated in the midst of transactions, ${place}: no lock is left, and no memory`, { timeout: 60_000 + COUNT * 500 }, async t => {
    const options = optionsFor(t)
    const { cask, keys, account } = await sharing(t, options, 0)
    await keys.set({ session: { held: 'kept' }, other: { commits: 0, twin: 0 } })
    await account.saveCreds({ kept: true })
    const held = standingHere(t, keys, async tx => { await tx.get('session', ['held']); await tx.setCreds({ kept: true }) }, 'held')
    await held.entered

    const states = Object.entries(STATES)
    const sizes = []
    let begun = 0
    let slowest = 0
    const lane = async () => {
      while (begun < count) {
        const n = begun++
        const [what, work] = states[n % states.length]
        const worker = await workerWith(t, options)
        await worker.run(({ kept }, { n, options }) => void Object.assign(kept, { n, options }), { n, options })
        worker.run(work).catch(() => {})
        await worker.heard('ready')
        await worker.terminate()
        await worker.ended
        const exited = performance.now()
        await until(`nothing is left of a worker that ${what}`, () => partiesOf(cask, worker.thread).length === 0)
        slowest = Math.max(slowest, performance.now() - exited)
        collectGarbage()
        sizes.push(process.memoryUsage().rss)
      }
    }
    await Promise.all(Array.from({ length: LANES }, lane))
    assert.ok(slowest < FREE_WITHIN_MS, `free only ${slowest} ms after an exit event`)
    assert.deepEqual(cask.locks().flatMap(({ holders }) => holders).map(({ thread }) => thread), Array(3).fill(0))
    await within(10_000, 'the holder', held.leave())
    assert.deepEqual(cask.locks(), [])
    assert.deepEqual(waiters(cask), [])

    assert.deepEqual(await recordsOf(keys, 'session'), [['held', 'kept']])
    const { commits, twin, lost } = await keys.get('other', ['commits', 'twin', 'lost'])
    assert.deepEqual([lost, await account.loadCreds()], [undefined, { kept: true }])
    assert.equal(commits, twin)
    assert.ok(commits >= 3, 'what was acknowledged is there')

    const grown = Math.min(...sizes.slice(-Math.ceil(count / 5))) - Math.min(...sizes.slice(Math.floor(count / 5), Math.ceil(count / 2.5)))
    t.diagnostic(`slowest ${slowest.toFixed(2)} ms; resident size grown by ${(grown / 2 ** 20).toFixed(1)} MB`)
    assert.ok(grown < MAX_GROWTH_BYTES, `resident size has grown by ${(grown / 2 ** 20).toFixed(1)} MB`)
  })
}
