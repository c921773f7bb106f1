import { spawnSync } from 'node:child_process'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { peers, peersOf } from '../stores/index.mjs'
import { LaneClient } from './lane-client.mjs'
import { limits } from './limits.mjs'
import { median, spread } from './measure.mjs'
import { workFolder } from './paths.mjs'

const FULL = { rounds: 21, warmups: 2, roundMs: 50, times: 1 }
const QUICK = { rounds: 5, warmups: 1, roundMs: 15, times: 1 }

export const labelOf = peer => (limits[peer] ?? peers[peer]).label

/**
 * A balanced order (Williams): over as many rounds as there are lanes, twice as many where their number is odd, every lane runs as
 * often in each place, and as often right after each of the others.
 */
export const orderOf = (lanes, round) => {
  const count = lanes.length
  const places = lanes.map((_, i) => (i % 2 ? count - (i + 1) / 2 : i / 2))
  const order = places.map(place => lanes[(place + round) % count])
  return count % 2 && Math.floor(round / count) % 2 ? order.reverse() : order
}

const plan = (row, options) => {
  const base = options.quick ? QUICK : FULL
  const own = row.plan?.(options) ?? {}
  const planned = { ...base, ...own }
  if (options.rounds && !row.once) planned.rounds = options.rounds
  return planned
}

/** The peers of a row that this run measures, and why others are left out. */
const choose = (row, options, unavailable) => {
  const chosen = []
  const skipped = []
  for (const peer of row.peers) {
    if (options.peers && !options.peers.includes(peer)) continue
    const reason = unavailable[peer]
    if (reason) skipped.push({ peer, reason })
    else chosen.push(peer)
  }
  return { chosen, skipped }
}

/** Opens a lane per peer: all in one process, or one process each where peers would slow each other down. */
const openLanes = async (row, chosen, options, dir, failed) => {
  const shared = row.isolate || options.isolate ? undefined : new LaneClient()
  const lanes = []
  for (const peer of chosen) {
    const client = shared ?? new LaneClient()
    try {
      await client.call('open', { row: row.name, peer, dir, quick: options.quick, ambient: !row.isolate })
      lanes.push({ peer, client, rounds: [], values: {} })
    } catch (error) {
      failed.push({ peer, reason: error.message })
      if (!shared) await client.close()
    }
  }
  return { lanes, clients: shared ? [shared] : lanes.map(lane => lane.client) }
}

const record = (lane, { ops, ms, values = {} }) => {
  lane.rounds.push(ops / ms * 1000)
  for (const name in values) (lane.values[name] ??= []).push(values[name])
}

/** Has the system write what earlier rows have left in its page cache, where there is such a program: writing it meanwhile takes time of the next one. */
const quietDisk = () => void spawnSync('sync', { stdio: 'ignore' })

/** Runs the rounds of a row once, and gives its lanes. */
const runLanes = async (row, { rounds, warmups, roundMs }, chosen, options, failed, progress) => {
  const dir = join(workFolder, `${row.name}-${process.pid}`)
  rmSync(dir, { recursive: true, force: true })
  mkdirSync(dir, { recursive: true })

  quietDisk()
  progress('opening')
  const { lanes, clients } = await openLanes(row, chosen, options, dir, failed)
  const alive = () => lanes.filter(lane => !lane.failure)
  const attempt = async (lane, work) => {
    if (lane.failure) return
    try {
      await work()
    } catch (error) {
      lane.failure = error.message
      failed.push({ peer: lane.peer, reason: error.message })
    }
  }
  try {
    for (const lane of lanes) {
      progress(`warming up ${labelOf(lane.peer)}`)
      await attempt(lane, async () => {
        lane.n = await lane.client.call('calibrate', { peer: lane.peer, roundMs })
        for (let i = 0; i < warmups; i++) await lane.client.call('round', { peer: lane.peer, n: lane.n })
      })
    }
    for (let round = 0; round < rounds; round++) {
      for (const lane of orderOf(alive(), round)) {
        progress(`round ${round + 1} of ${rounds}, ${labelOf(lane.peer)}`)
        await attempt(lane, async () => {
          record(lane, await lane.client.call('round', { peer: lane.peer, n: lane.n }))
        })
      }
    }
    for (const lane of lanes) {
      await attempt(lane, async () => {
        lane.facts = await lane.client.call('finish', { peer: lane.peer })
      })
    }
  } finally {
    for (const client of clients) await client.close()
    rmSync(dir, { recursive: true, force: true })
  }
  return alive()
}

/** Runs one row and returns its medians, over all rounds of all the times that it is run. */
export const runRow = async (row, options, unavailable, progress) => {
  const { chosen, skipped } = choose(row, options, unavailable)
  const failed = []
  const started = Date.now()
  const planned = plan(row, options)
  const measured = {}
  for (let time = 1; time <= planned.times; time++) {
    const going = chosen.filter(peer => !failed.some(one => one.peer === peer))
    const lanes = await runLanes(row, planned, going, options, failed, what => progress(`${row.title}: ${planned.times > 1 ? `time ${time} of ${planned.times}, ` : ''}${what}`))
    for (const { peer, rounds, values, facts } of lanes) {
      const before = measured[peer] ?? { rounds: [], values: {} }
      const all = Object.fromEntries(Object.entries(values).map(([name, more]) => [name, [...before.values[name] ?? [], ...more]]))
      measured[peer] = { rounds: [...before.rounds, ...rounds], values: all, facts }
    }
  }
  for (const { peer } of failed) delete measured[peer]
  const medians = Object.entries(measured).map(([peer, { rounds, values, facts }]) => {
    const own = Object.fromEntries(Object.entries(values).map(([name, all]) => [name, median(all)]))
    return [peer, { median: median(rounds), spread: spread(rounds), rounds, ...own, ...facts }]
  })
  return {
    name: row.name, title: row.title, unit: row.unit, ours: row.ours ?? 'cask',
    peers: Object.fromEntries(medians), skipped, failed, seconds: (Date.now() - started) / 1000
  }
}

/** Peers that cannot run on this machine, with the reason. */
export const findUnavailable = async sqliteReason => {
  const unavailable = {}
  const leaveOut = (module, reason) => {
    for (const peer of peersOf(module)) unavailable[peer] = reason
  }
  if (sqliteReason) leaveOut('sqlite.mjs', sqliteReason)
  try {
    await import('lmdb')
  } catch (error) {
    leaveOut('lmdb.mjs', `does not load: ${error.message.split('\n')[0]}`)
  }
  try {
    await import('../../index.mjs')
  } catch (error) {
    leaveOut('cask.mjs', `does not load, build it first (npm ci && npm run build): ${error.message.split('\n')[0]}`)
  }
  return unavailable
}
