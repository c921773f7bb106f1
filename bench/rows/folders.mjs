import { preKeys } from '../lib/data.mjs'
import { atMost } from '../lib/figures.mjs'
import { descriptors, residentBytes, threads } from '../lib/measure.mjs'

const FOLDERS = 1_000
const FOLDERS_QUICK = 100
/** Longer than `syncIntervalMs`: what a store does in the background after a write is over. */
const SETTLE_MS = 2_500

export default {
  name: 'folders',
  title: '1,000 folders open in one process',
  unit: 'folders/s',
  isolate: true,
  once: true,
  peers: ['cask', 'map', 'multi-file', 'sqlite-normal', 'lmdb-nosync'],
  plan: () => ({ rounds: 1, warmups: 0 }),
  async open({ openStore, same, quick }) {
    const folders = quick ? FOLDERS_QUICK : FOLDERS
    const data = preKeys(1, 1)
    const stores = []
    const openFolder = async at => {
      const store = await openStore(`folder-${at}`)
      const keys = await store.account()
      await keys.set({ 'pre-key': data })
      stores.push({ store, keys })
    }
    const settle = () => new Promise(resolve => setTimeout(resolve, SETTLE_MS))
    const look = async () => ({ resident: await residentBytes(), threads: threads(), descriptors: descriptors() })
    const none = await look()
    // Memory is compared from here on: the first folders also warm up what all of them share.
    const warm = folders / 10
    let one
    let few
    let all
    return {
      fixed: true,
      async before() {
        if (one) return
        await openFolder(0)
        await settle()
        one = await look()
      },
      async run() {
        if (all) return
        for (let at = 1; at < warm; at++) await openFolder(at)
        await settle()
        few = await look()
        const started = performance.now()
        for (let at = warm; at < folders; at++) await openFolder(at)
        const ms = performance.now() - started
        await settle()
        all = await look()
        same(await stores.at(-1).keys.get('pre-key', ['1']), data)
        return { ops: folders - warm, ms }
      },
      facts: () => ({
        folders,
        threadsWithNone: none.threads,
        threadsWithOne: one.threads,
        threadsWithAll: all.threads,
        descriptorsPerFolder: (all.descriptors - one.descriptors) / (folders - 1),
        residentPerFolder: (all.resident - few.resident) / (folders - warm)
      }),
      async close() {
        for (const { store } of stores) await store.close()
      }
    }
  },
  describe: measured =>
    `with ${measured.folders} folders ${measured.threadsWithAll} threads (${measured.threadsWithOne} with one, ` +
    `${measured.threadsWithNone} with none), ` +
    `${measured.descriptorsPerFolder.toFixed(2)} descriptors and ${(measured.residentPerFolder / 1024).toFixed(1)} KB of memory each`,
  figures: [
    atMost('threads as with one', 0, cask => cask.threadsWithAll - cask.threadsWithOne, 'more'),
    atMost('<= 3 descriptors each', 3, cask => cask.descriptorsPerFolder, 'number'),
    atMost('<= 64 KB each', 64 * 1024, cask => cask.residentPerFolder, 'kilobytes')
  ]
}
