import { monitorEventLoopDelay } from 'node:perf_hooks'
import { cpuWait } from '../lib/cpu-wait.mjs'
import { sessionIds, sessions } from '../lib/data.mjs'
import { Latencies, showMs } from '../lib/latencies.mjs'
import { median } from '../lib/measure.mjs'

const WRITERS = 64
/** Of each writer; all of them are overwritten again and again, so that nearly all of the log is garbage. */
const RECORDS = 32
const ROUND_MS = 10_000
const ROUND_MS_QUICK = 1_000
/** More than any store makes in a round. */
const MOST_SETS = 3_000_000
const MOST_TURNS = 1_000_000
/** How often perf_hooks samples the delay of the event loop; it is part of what that measures. */
const RESOLUTION_MS = 1

export default {
  name: 'event-loop',
  title: '64 writers in one process for a minute: how long the event loop stands still',
  unit: 'set/s',
  isolate: true,
  peers: ['cask', 'map', 'json-append-synced'],
  plan: ({ quick }) => ({ rounds: quick ? 2 : 6, warmups: 1 }),
  async open({ openStore, same, quick }) {
    const roundMs = quick ? ROUND_MS_QUICK : ROUND_MS
    const store = await openStore()
    const keys = await store.account()
    const values = await sessions()
    const ids = sessionIds(WRITERS * RECORDS)
    const turns = new Uint32Array(ids.length)
    const valueOf = at => values[(at + turns[at]) % values.length]
    const latencies = new Latencies(MOST_SETS)
    const lengths = new Latencies(MOST_TURNS)
    let rounds = 0
    /** By round; the first one is for V8 to warm up. */
    const found = { turnMs: [], turnP999Ms: [], delayMs: [], p999Ms: [], mostMs: [] }
    const writer = async (w, until) => {
      for (let i = 0; ; i++) {
        const at = w * RECORDS + i % RECORDS
        turns[at]++
        const data = { session: { [ids[at]]: valueOf(at) } }
        const started = performance.now()
        if (started > until) return void turns[at]--
        await keys.set(data)
        latencies.add(performance.now() - started)
        // The next one comes with something else, a message from the network.
        await new Promise(setImmediate)
      }
    }
    /** How long each turn of the event loop takes, without the time in which the machine ran something else. */
    const watchTurns = async until => {
      let [at, waited] = [performance.now(), cpuWait()]
      while (at < until) {
        await new Promise(setImmediate)
        const [now, waitedNow] = [performance.now(), cpuWait()]
        lengths.add(Math.max(0, now - at - (waitedNow - waited)));
        [at, waited] = [now, waitedNow]
      }
    }
    return {
      fixed: true,
      async run() {
        latencies.reset()
        lengths.reset()
        const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
        delay.enable()
        const started = performance.now()
        const until = started + roundMs
        await Promise.all([watchTurns(until), ...Array.from({ length: WRITERS }, (_, w) => writer(w, until))])
        const ms = performance.now() - started
        delay.disable()
        if (rounds++ > 0) {
          found.turnMs.push(lengths.quantile(1))
          found.turnP999Ms.push(lengths.quantile(0.999))
          found.delayMs.push(delay.max / 1e6 - RESOLUTION_MS)
          found.p999Ms.push(latencies.quantile(0.999))
          found.mostMs.push(latencies.quantile(1))
        }
        return { ops: latencies.count, ms }
      },
      async facts() {
        same(await keys.get('session', ids), Object.fromEntries(ids.map((id, at) => [id, valueOf(at)])))
        const worst = Object.fromEntries(Object.entries(found).map(([name, all]) => [name, Math.max(...all)]))
        return { ...worst, usualTurnMs: median(found.turnMs) }
      },
      close: () => store.close()
    }
  },
  describe: ({ turnMs, usualTurnMs, turnP999Ms, delayMs, p999Ms, mostMs }) =>
    `the longest turn of the event loop takes ${showMs(turnMs)}, that of the median round ${showMs(usualTurnMs)}, p99.9 ${showMs(turnP999Ms)}; ` +
    `with what else the machine did ${showMs(delayMs)}; set p99.9 ${showMs(p999Ms)}, longest ${showMs(mostMs)}; of the worst round each`,
  figures: [{
    required: 'no block over 5 ms by the store: its longest turn less that with a plain Map',
    measure: ({ peers: { cask, map } }) => cask && map && cask.turnMs - map.turnMs,
    reached: value => value <= 5,
    show: showMs
  }]
}
