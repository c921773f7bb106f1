import { setTimeout } from 'node:timers/promises'
import { atMost } from '../lib/figures.mjs'
import { showMiB, showMs } from '../lib/latencies.mjs'
import { diskBytes, median, residentOutsideV8 } from '../lib/measure.mjs'
import { opening } from '../lib/openers.mjs'

const RECORDS = 1_000_000
const RECORDS_QUICK = 100_000
const BATCH = 500
const SETTLED_MS = 2_000
const OPENINGS = 7
/** Written before each kill: what a process has on its hands when it dies. */
const WRITTEN_BEFORE_KILL = 2_000

const FAMILY = 'lid-mapping'
const idOf = i => String(4915100000000 + i)
const valueOf = i => String(100000000000000 + i * 7919)
const ID_BYTES = idOf(0).length

export default {
  name: 'small-records',
  title: '1,000,000 small records',
  unit: 'records/s',
  isolate: true,
  once: true,
  peers: ['cask', 'cask-sealed'],
  plan: () => ({ rounds: 1, warmups: 0 }),
  async open({ peer, dir, openStore, same, quick }) {
    const records = quick ? RECORDS_QUICK : RECORDS
    const store = await openStore()
    const keys = await store.account()
    const folder = `${dir}/store`
    const batchAt = first => {
      const batch = {}
      for (let i = first; i < first + BATCH; i++) batch[idOf(i)] = valueOf(i)
      return batch
    }
    // All that happens only once, in V8 and in the store, has happened.
    for (let i = 0; i < 100; i++) await keys.set({ [FAMILY]: batchAt(0) })
    const before = await residentOutsideV8()
    let written
    return {
      fixed: true,
      async run() {
        const started = performance.now()
        for (let first = 0; first < records; first += BATCH) await keys.set({ [FAMILY]: batchAt(first) })
        return { ops: records, ms: performance.now() - started }
      },
      async after() {
        // What the store does behind the last set takes memory too, but not for each record.
        await setTimeout(SETTLED_MS)
        written = await residentOutsideV8() - before
      },
      async facts() {
        await store.close()
        const settings = { peer, dir: folder }
        const check = async opener => same(await opener.call('get', { family: FAMILY, record: idOf(records - 1) }), valueOf(records - 1))
        // The first one tells of memory, in a process that has done nothing else.
        const { resident } = await opening({ ...settings, resident: true }, 'close', check)
        const clean = []
        for (let i = 0; i < OPENINGS; i++) clean.push((await opening(settings, 'close', check)).ms)
        const killed = []
        for (let i = 0; i < OPENINGS; i++) {
          await opening(settings, 'kill', opener => opener.call('set', { family: 'other', count: WRITTEN_BEFORE_KILL }))
          killed.push((await opening(settings, 'close', check)).ms)
        }
        return {
          writtenPerRecord: written / records, openedPerRecord: resident / records,
          cleanMs: median(clean), killedMs: median(killed), disk: diskBytes(folder).allocated
        }
      }
    }
  },
  describe: ({ writtenPerRecord, openedPerRecord, cleanMs, killedMs, disk }) =>
    `resident memory outside V8 per record, its id of ${ID_BYTES} bytes included: ${writtenPerRecord.toFixed(1)} bytes once written, ${openedPerRecord.toFixed(1)} once opened; ` +
    `opens in ${showMs(cleanMs)} after a clean close and in ${showMs(killedMs)} after a kill; ${showMiB(disk)} on disk`,
  figures: [
    atMost('memory <= 64 bytes per record and the id', 64, cask => Math.max(cask.writtenPerRecord, cask.openedPerRecord) - ID_BYTES, 'number'),
    atMost('opens in <= 400 ms after a clean close', 400, cask => cask.cleanMs, 'milliseconds'),
    atMost('opens in <= 1.5 s after a kill', 1500, cask => cask.killedMs, 'milliseconds'),
    atMost('sealed: opens in <= 400 ms after a clean close', 400, sealed => sealed.cleanMs, 'milliseconds', 'cask-sealed'),
    atMost('sealed: opens in <= 1.5 s after a kill', 1500, sealed => sealed.killedMs, 'milliseconds', 'cask-sealed')
  ]
}
