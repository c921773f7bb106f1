// A process that opens a cask in several threads, writes, closes it and begins again, until it is killed. It says what it is about to do
// and what was acknowledged on descriptor 3, written synchronously: a kill takes nothing of that back. See kill.spec.mjs.
import { readFileSync, writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker, isMainThread, workerData } from 'node:worker_threads'
import { openCask } from 'baileys-cask'
import { LANES, THREADS, bytesOf, lanesOf, perform, progressOf } from './kill-lanes.mjs'
import { seeded } from './seeded.mjs'

/** Large values are written up to so many bytes for each opening: segments roll, and the disk of the machine does not fill. */
const HOT_BYTES = 40 * 2 ** 20

const { plan, thread, shared } = isMainThread
  ? { plan: JSON.parse(readFileSync(process.argv[2], 'utf8')), thread: 0, shared: new SharedArrayBuffer(16 + 4 * LANES.length) }
  : workerData
const { options, seed, bounds } = plan
const random = seeded(seed + thread)
const say = (...words) => writeSync(3, `${words.join(' ')}\n`)

/** The opening that the threads may write in, the one in which they are to stop, how often one of them has closed, bytes of large values. */
const words = new Int32Array(shared, 0, 4)
const [GO, STOP, CLOSED, HOT] = [0, 1, 2, 3]
/** How far each lane has come. */
const steps = new Int32Array(shared, 16)
const reaches = async (word, value) => {
  while (Atomics.load(words, word) < value) await sleep(1)
}

async function run(cask, lane, opening) {
  const at = LANES.indexOf(lane)
  while (Atomics.load(words, STOP) < opening) {
    const n = steps[at] + 1
    const bytes = bytesOf(lane, n)
    if (bytes > 0 && Atomics.add(words, HOT, bytes) > HOT_BYTES) return
    say('begin', lane, n)
    await perform(cask, lane, n)
    say('done', lane, n)
    steps[at] = n
    // Promises that are settled at once would let nothing else have its turn.
    if (n % 4 === 0) await new Promise(setImmediate)
  }
}

/** How far the lanes have come must be what was said of them before. */
async function look(cask, bounds) {
  const found = await progressOf(cask, bounds)
  for (const lane of LANES) {
    steps[LANES.indexOf(lane)] = found[lane].n
    say('found', lane, found[lane].n)
  }
  return Object.fromEntries(LANES.map(lane => [lane, { base: found[lane] }]))
}

if (isMainThread) for (let thread = 1; thread < THREADS; thread++) new Worker(new URL(import.meta.url), { workerData: { plan, thread, shared } })

let expected = bounds
for (let opening = 1; ; opening++) {
  if (isMainThread) say('opening')
  const cask = await openCask(options)
  if (isMainThread) {
    say('open')
    expected = await look(cask, expected)
    Atomics.store(words, HOT, 0)
    Atomics.store(words, GO, opening)
    setTimeout(() => Atomics.store(words, STOP, opening), 20 + random(random(6) === 0 ? 1500 : 200))
  } else await reaches(GO, opening)

  await Promise.all(lanesOf(thread).map(lane => run(cask, lane, opening)))
  await reaches(STOP, opening)
  // Said before the first of the threads closes: the last one to do so closes the log.
  if (Atomics.add(words, CLOSED, 1) === 2 * THREADS * (opening - 1)) say('closing')
  await cask.close()
  Atomics.add(words, CLOSED, 1)
  await reaches(CLOSED, 2 * THREADS * opening)
  if (isMainThread) {
    say('closed')
    for (const lane of LANES) Object.assign(expected[lane], { least: steps[LANES.indexOf(lane)], most: steps[LANES.indexOf(lane)] })
  }
}
