import { readFileSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { sessions } from '../lib/data.mjs'
import { showMiB } from '../lib/latencies.mjs'
import { diskBytes, median } from '../lib/measure.mjs'
import { opening } from '../lib/openers.mjs'

const BYTES = 1e9
const BYTES_QUICK = 1e8
const BATCH = 250
/** How often the length of the log is looked at, in records. */
const LOOK_EVERY = 20 * BATCH
const OPENINGS = 3
/** What opening needs; whatever else lies in the folder only makes it faster. */
const NEEDED = /\.seg$|^manifest$|^key$|^lock$|^owner$/

export default {
  name: 'recovery',
  title: 'recovery of a log of 1 GB, without hints, in memory',
  unit: 'GB/s',
  isolate: true,
  once: true,
  peers: ['cask', 'cask-sealed'],
  plan: () => ({ rounds: 1, warmups: 0 }),
  async open({ peer, dir, openStore, same, quick }) {
    const settings = { peer, dir: `${dir}/store` }
    const values = await sessions()
    const store = await openStore()
    const keys = await store.account()
    // All of it is live, so that nothing is compacted.
    const idOf = i => `${100000000000000 + i}_1.0`
    let count = 0
    while (count % LOOK_EVERY > 0 || diskBytes(settings.dir).length < (quick ? BYTES_QUICK : BYTES)) {
      const batch = {}
      for (let i = 0; i < BATCH; i++, count++) batch[idOf(count)] = values[count % values.length]
      await keys.set({ session: batch })
    }
    await store.close()
    const filesIn = () => readdirSync(settings.dir)
    let gbPerSecond
    let bytes
    return {
      fixed: true,
      async run() {
        const took = []
        for (let i = 0; i < OPENINGS; i++) {
          for (const name of filesIn().filter(name => !NEEDED.test(name))) rmSync(join(settings.dir, name))
          for (const name of filesIn()) readFileSync(join(settings.dir, name))
          bytes = diskBytes(settings.dir).length
          const opened = await opening(settings, 'kill', async opener => {
            same(await opener.call('get', { family: 'session', record: idOf(count - 1) }), values[(count - 1) % values.length])
          })
          took.push(opened.ms)
        }
        const ms = median(took)
        gbPerSecond = bytes / 1e9 / (ms / 1000)
        return { ops: bytes / 1e9, ms }
      },
      facts: () => ({ gbPerSecond, bytes, records: count })
    }
  },
  describe: ({ gbPerSecond, bytes, records }) => `${showMiB(bytes)} with ${records} records in ${(bytes / 1e9 / gbPerSecond).toFixed(2)} s`,
  figures: [{
    required: '>= 1 GB/s',
    measure: ({ peers: { cask } }) => cask?.gbPerSecond,
    reached: value => value >= 1,
    show: value => `${value.toFixed(2)} GB/s`
  }]
}
