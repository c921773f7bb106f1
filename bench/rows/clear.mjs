import { sessionIds, sessions } from '../lib/data.mjs'
import { atMost } from '../lib/figures.mjs'
import { showMiB, showMs } from '../lib/latencies.mjs'
import { diskBytes, median, removedBytes, residentBytes } from '../lib/measure.mjs'

const RECORDS = 100_000
const RECORDS_QUICK = 10_000
const BATCH = 250
const ROUNDS = 5
/** What is written last is not compacted before its segment is full. */
const SEGMENT_BYTES = 16 * 2 ** 20
/** How long space may take to come back. */
const PATIENCE_MS = 20_000

export default {
  name: 'clear',
  title: 'clear of an account with 100,000 records',
  unit: 'clear/s',
  isolate: true,
  peers: ['cask'],
  plan: ({ quick }) => ({ rounds: quick ? 2 : ROUNDS, warmups: 0 }),
  async open({ dir, openStore, same, quick }) {
    const count = quick ? RECORDS_QUICK : RECORDS
    const store = await openStore()
    const [keys, others] = [await store.account(), await store.account('other')]
    const values = await sessions()
    const ids = sessionIds(count)
    const few = Object.fromEntries(ids.slice(0, 100).map((id, i) => [id, values[i % values.length]]))
    await others.set({ session: few })
    const allocated = () => diskBytes(dir).allocated + removedBytes(dir)
    const before = { resident: await residentBytes(), disk: allocated() }
    const filled = []
    const cleared = []
    return {
      fixed: true,
      async before() {
        for (let first = 0; first < count; first += BATCH) {
          await keys.set({ session: Object.fromEntries(ids.slice(first, first + BATCH).map((id, i) => [id, values[(first + i) % values.length]])) })
        }
        filled.push({ resident: await residentBytes(), disk: allocated() })
      },
      async run() {
        // On the calling thread: nothing else has its turn before the promise that has been settled there.
        const started = performance.now()
        await keys.clear()
        const ms = performance.now() - started
        return { ops: 1, ms, values: { clearMs: ms } }
      },
      async after() {
        same(await keys.get('session', [ids[0], ids[count - 1]]), {})
        const started = performance.now()
        while (allocated() > before.disk + SEGMENT_BYTES && performance.now() - started < PATIENCE_MS) await new Promise(resolve => setTimeout(resolve, 50))
        cleared.push({ resident: await residentBytes(), disk: allocated(), seconds: (performance.now() - started) / 1000 })
      },
      async facts() {
        same(await others.get('session', Object.keys(few)), few)
        const middle = (all, name) => median(all.map(one => one[name]))
        return {
          residentBefore: before.resident, residentFilled: middle(filled, 'resident'), residentCleared: middle(cleared, 'resident'),
          diskBefore: before.disk, diskFilled: middle(filled, 'disk'), diskCleared: middle(cleared, 'disk'), seconds: middle(cleared, 'seconds'),
          residentGrown: cleared.at(-1).resident - cleared[0].resident
        }
      },
      close: () => store.close()
    }
  },
  describe: ({ clearMs, residentBefore, residentFilled, residentCleared, residentGrown, diskBefore, diskFilled, diskCleared, seconds }) =>
    `${showMs(clearMs)}; resident memory ${showMiB(residentBefore)} before, ${showMiB(residentFilled)} filled, ${showMiB(residentCleared)} cleared, ${showMiB(residentGrown)} more after the last clear than after the first; ` +
    `disk ${showMiB(diskBefore)} before, ${showMiB(diskFilled)} filled, ${showMiB(diskCleared)} ${seconds.toFixed(1)} s after the clear`,
  figures: [atMost('<= 5 ms on the calling thread', 5, cask => cask.clearMs, 'milliseconds')]
}
