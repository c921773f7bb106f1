import { readdirSync, readlinkSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { getHeapStatistics } from 'node:v8'

const sorted = values => Float64Array.from(values).sort()

/** The value below which the part `p` of all values lies, interpolated. */
export const quantile = (values, p) => {
  const ordered = sorted(values)
  const at = (ordered.length - 1) * p
  const low = Math.floor(at)
  const high = Math.ceil(at)
  return ordered[low] + (ordered[high] - ordered[low]) * (at - low)
}

export const median = values => quantile(values, 0.5)

/** Half the distance between the quartiles, as a part of the median. */
export const spread = values => (quantile(values, 0.75) - quantile(values, 0.25)) / 2 / median(values)

/**
 * How many times as fast `ours` is as `peer`: the median over rounds that lie next to each other in time. Steadier than the ratio of two
 * medians where the two are nearly equal.
 */
export const pairedRatio = (ours, peer) => median(ours.rounds.map((rate, round) => rate / peer.rounds[round]))

const namesIn = folder => {
  try {
    return readdirSync(folder)
  } catch {
    return undefined
  }
}
const count = folder => namesIn(folder)?.length

/** Threads of this process; undefined where the system has no /proc. */
export const threads = () => count('/proc/self/task')

/** Open file descriptors of this process; undefined where the system has no /proc. */
export const descriptors = () => {
  const open = count('/proc/self/fd')
  return open === undefined ? undefined : open - 1 // the folder itself was open while it was read
}

/** Resident memory once V8 has collected what it can. */
export const residentBytes = async () => {
  for (let i = 0; i < 3; i++) {
    globalThis.gc()
    await new Promise(resolve => setTimeout(resolve, 20))
  }
  return process.memoryUsage.rss()
}

/**
 * Resident memory but for what V8 has for itself: its young generation and its own tables grow with what a benchmark makes, and hold
 * none of a store's records.
 */
export const residentOutsideV8 = async () => {
  const resident = await residentBytes()
  const { total_physical_size: heap, malloced_memory: tables } = getHeapStatistics()
  return resident - heap - tables
}

/** Bytes that the files under `folder` take: as allocated by the file system, and as their lengths say. */
export const diskBytes = folder => {
  let allocated = 0
  let length = 0
  let files = 0
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue
    const stat = statSync(join(entry.parentPath ?? entry.path, entry.name), { throwIfNoEntry: false })
    if (!stat) continue // gone meanwhile
    allocated += stat.blocks * 512
    length += stat.size
    files++
  }
  return { allocated, length, files }
}

/** Bytes that files take which were removed from `folder` and are still open in this process; 0 where the system has no /proc. */
export const removedBytes = folder => {
  let allocated = 0
  for (const fd of namesIn('/proc/self/fd') ?? []) {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`)
      if (target.startsWith(folder) && target.endsWith(' (deleted)')) allocated += statSync(`/proc/self/fd/${fd}`).blocks * 512
    } catch {} // closed meanwhile, as that of the folder itself
  }
  return allocated
}

const AWAIT_ROUND_MS = 5
const AWAIT_ROUNDS = 41

const nothing = async () => {}

/** Milliseconds that so many awaits take. */
export const timeAwaits = async n => {
  const started = performance.now()
  for (let i = 0; i < n; i++) await nothing()
  return performance.now() - started
}

/** Nanoseconds that one `await` of an async function takes which has nothing to do with any store, at best. */
export const awaitNs = () => new Promise((resolve, reject) => {
  // A turn of its own: what an `await` costs also depends on whether its async context began before the first AsyncLocalStorage.
  setImmediate(() => bestAwait().then(resolve, reject))
})

const bestAwait = async () => {
  let n = 1000
  while (await timeAwaits(n) < AWAIT_ROUND_MS) n *= 2
  let best = Infinity
  for (let round = 0; round < AWAIT_ROUNDS; round++) best = Math.min(best, await timeAwaits(n) * 1e6 / n)
  return best
}
