import { BusyClock } from '../lib/cpu-wait.mjs'
import { sessionIds, sessions } from '../lib/data.mjs'
import { atMost } from '../lib/figures.mjs'
import { Latencies, showMiB, showMs } from '../lib/latencies.mjs'
import { diskBytes, removedBytes, residentBytes } from '../lib/measure.mjs'

const SESSIONS = 1_000
const COMMITS = 1_000_000
const COMMITS_QUICK = 50_000
/** How often the disk is looked at, in commits: every 10 MB or so. */
const SAMPLE_EVERY = 5_000
const REFRESH_EVERY = 64
const SEGMENT_BYTES = 16 * 2 ** 20

export default {
  name: 'hot-commits',
  title: '1,000,000 commits on 1,000 hot sessions',
  unit: 'commits/s',
  isolate: true,
  once: true,
  peers: ['cask', 'map'],
  plan: () => ({ rounds: 1, warmups: 0 }),
  async open({ peer, dir, openStore, same, quick }) {
    const commits = quick ? COMMITS_QUICK : COMMITS
    const store = await openStore()
    const keys = await store.account()
    const values = await sessions()
    const ids = sessionIds(SESSIONS)
    const valueOf = n => values[(n + Math.floor(n / SESSIONS)) % values.length]
    /** Bytes of all records in the log, each in a batch of its own. */
    let live
    const latencies = new Latencies(commits)
    /** The same without the time in which the machine ran something else. */
    const own = new Latencies(commits)
    const clock = new BusyClock()
    let allocatedMost = 0
    let allocatedLast = 0
    const look = () => {
      if (peer === 'map') return
      allocatedLast = diskBytes(dir).allocated + removedBytes(dir)
      allocatedMost = Math.max(allocatedMost, allocatedLast)
    }
    let residentBefore
    return {
      fixed: true,
      async before() {
        for (let n = 0; n < SESSIONS; n++) await keys.set({ session: { [ids[n]]: valueOf(n) } })
        live = peer === 'map' ? 0 : diskBytes(dir).length
        residentBefore = await residentBytes()
      },
      async run() {
        let ms = 0
        for (let n = 0; n < commits; n++) {
          const data = { session: { [ids[n % SESSIONS]]: valueOf(n) } }
          const started = performance.now()
          await keys.set(data)
          const took = performance.now() - started
          ms += took
          latencies.add(took)
          own.add(clock.net(took))
          if (n % REFRESH_EVERY === 0) clock.refresh()
          if (n % SAMPLE_EVERY === 0) {
            look()
            await new Promise(setImmediate)
          }
        }
        return { ops: commits, ms }
      },
      async facts() {
        look()
        const last = Object.fromEntries(ids.map((id, i) => [id, valueOf(commits - SESSIONS + i)]))
        same(await keys.get('session', ids), last)
        return {
          p50Ms: latencies.quantile(0.5), p999Ms: latencies.quantile(0.999), mostMs: latencies.quantile(1),
          ownP999Ms: own.quantile(0.999), ownMostMs: own.quantile(1),
          grown: await residentBytes() - residentBefore, live, allocatedMost, allocatedLast
        }
      },
      close: () => store.close()
    }
  },
  describe: ({ p50Ms, p999Ms, mostMs, ownP999Ms, ownMostMs, grown, live, allocatedMost, allocatedLast }) =>
    `p50 ${showMs(p50Ms)}, p99.9 ${showMs(p999Ms)}, longest ${showMs(mostMs)}; without what else the machine did p99.9 ${showMs(ownP999Ms)}, longest ${showMs(ownMostMs)}; resident memory grows by ${showMiB(grown)}` +
    (allocatedMost ? `; ${showMiB(live)} live, at most ${showMiB(allocatedMost)} allocated on disk, ${showMiB(allocatedLast)} at the end` : ''),
  figures: [
    atMost('allocated <= 2x live + one segment', 1, cask => cask.allocatedMost / (2 * cask.live + SEGMENT_BYTES), 'share'),
    atMost('p99.9 <= 1 ms', 1, cask => cask.ownP999Ms, 'milliseconds'),
    atMost('none over 20 ms', 20, cask => cask.ownMostMs, 'milliseconds')
  ]
}
