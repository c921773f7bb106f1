// A process that writes until it is killed. It says what it begins and what was acknowledged on descriptor 3, written
// synchronously: a kill takes nothing of that back. See kill.spec.mjs.
import { writeSync } from 'node:fs'
import { openCask } from 'baileys-cask'

const { path, durability, from, seed } = JSON.parse(process.argv[2])
const say = (...words) => writeSync(3, `${words.join(' ')}\n`)

let state = seed
const random = below => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  return Math.floor((state / 2 ** 32) * below)
}
const sizes = [10, 200, 2000, 9000, 40_000, 300_000]
const pad = n => Buffer.alloc(sizes[random(random(8) === 0 ? 6 : 4)], n)

const cask = await openCask({ path, durability, syncIntervalMs: 20 })
say('open')

/** Each lane counts its steps; everything a step writes carries its number. */
const LANES = {
  // One record at a time.
  single: async (account, n) => account.keys.set({ session: { single: { n, pad: pad(n) } } }),
  // One batch over several families, with creations and deletes.
  batch: async (account, n) => account.keys.set({
    session: { 'batch-a': { n }, [`batch-${n % 7}`]: { n, pad: pad(n) }, [`batch-${(n + 3) % 7}`]: null },
    'sender-key': { batch: pad(n) }, 'pre-key': { 'batch-b': { n } }, other: { 'batch-c': n },
  }),
  // One commit: read, written in pieces, an inner transaction that ends well and one that fails.
  commit: async (account, n) => account.keys.transaction(async tx => {
    await tx.set({ session: { 'commit-a': { n } } })
    await account.keys.transaction(() => account.keys.set({ 'device-list': { 'commit-b': [n, pad(n)] } }), 'inner')
    await account.keys.transaction(async inner => {
      await inner.set({ other: { 'commit-c': -1 } })
      throw new Error('undone')
    }, 'inner').catch(() => {})
    await tx.setCreds({ n, of: 'commit' })
    await tx.set({ other: { 'commit-c': n } })
  }, 'commit'),
  creds: async (account, n) => account.saveCreds({ n, key: pad(n) }),
  // What is not committed never shows.
  undone: async (account, n) => account.keys.transaction(async tx => {
    await tx.set({ other: { undone: n }, session: { 'batch-a': { n: -1 } } })
    throw new Error('undone')
  }, 'undone').catch(error => { if (error.message !== 'undone') throw error }),
}
const lanes = { a: ['single', 'batch', 'creds', 'undone'], b: ['single', 'batch', 'commit'], c: ['commit', 'single'] }

const begun = Object.entries(lanes).flatMap(([name, kinds]) => kinds.map(async kind => {
  const account = cask.account(name)
  for (let n = (from[`${name} ${kind}`] ?? 0) + 1; ; n++) {
    say('begin', name, kind, n)
    await LANES[kind](account, n)
    say('done', name, kind, n)
    // Another turn of the event loop now and then, or the promises of `process` would starve the signal of nothing else.
    if (n % 5 === 0) await new Promise(setImmediate)
  }
}))
await Promise.all(begun)
