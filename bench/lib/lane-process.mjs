// The process in which a row runs: it opens the lanes that its parent names and runs one round of one lane at a time.
import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { join } from 'node:path'
// Whatever a store does, it does it in a process that has Baileys loaded, and that is not for nothing: with Baileys' protobuf
// classes in the heap msgpackr decodes sessions three times slower.
import 'baileys'
import { openPeer } from '../stores/index.mjs'
import { answerer } from './calls.mjs'
import { limits } from './limits.mjs'

const lanes = new Map()
const minorGc = () => globalThis.gc?.({ type: 'minor' })

const openLane = async (row, peer, { dir, quick }) => {
  if (limits[peer]) return limits[peer].open(join(dir, peer))
  const { default: definition } = await import(new URL(`../rows/${row}.mjs`, import.meta.url))
  return definition.open({
    peer,
    quick,
    dir: join(dir, peer),
    openStore: (sub = 'store') => openPeer(peer, join(dir, peer, sub)),
    /** Every peer hands back what was put in, before it is measured. */
    same: (actual, expected) => assert.deepStrictEqual(actual, expected, `${peer} returns something else than was set`)
  })
}

const timeRound = async (lane, n) => {
  await lane.before?.()
  minorGc()
  const started = performance.now()
  const own = await lane.run(n)
  const ms = performance.now() - started
  await lane.after?.()
  return { ops: n * (lane.opsPerRun ?? 1), ms, ...own }
}

/** How many operations fill a round of `roundMs`. A lane of fixed work always does that work once. */
const calibrate = async (lane, roundMs) => {
  if (lane.fixed) return 1
  const step = lane.step ?? 1
  const isLong = ms => ms >= roundMs * 0.7
  let n = step
  for (;;) {
    let { ms } = await timeRound(lane, n)
    // Once more: where one operation met a pause of something else, all rounds to come would consist of one operation.
    if (isLong(ms)) ms = Math.min(ms, (await timeRound(lane, n)).ms)
    const fitting = Math.max(step, Math.round(n * roundMs / ms / step) * step)
    // Not from a short round: before V8 has compiled what is hot, it says little about a long one.
    if (isLong(ms)) return fitting
    n = Math.max(n + step, Math.min(n * 8, fitting))
  }
}

/** Puts one `AsyncLocalStorage` to use, as Baileys' wrapper does in every process with a socket. */
const useAsyncLocalStorage = () => new AsyncLocalStorage().run({}, () => {})

const commands = {
  async open({ row, peer, ambient, ...settings }) {
    if (ambient) useAsyncLocalStorage()
    lanes.set(peer, await openLane(row, peer, settings))
  },
  calibrate: ({ peer, roundMs }) => calibrate(lanes.get(peer), roundMs),
  round: ({ peer, n }) => timeRound(lanes.get(peer), n),
  async finish({ peer }) {
    const lane = lanes.get(peer)
    const facts = await lane.facts?.()
    await lane.close?.()
    lanes.delete(peer)
    return facts
  },
  exit() {
    // Timers of Baileys' caches would keep the process alive.
    setImmediate(() => process.exit(0))
  }
}

process.on('message', answerer(commands, message => process.send(message)))
process.on('disconnect', () => process.exit(1))
