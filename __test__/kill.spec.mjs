// A process that writes in all the ways it can, from several threads, is killed at random moments: while it loads, opens, recovers, writes,
// closes, or is frozen. 12 times at each level of durability; CASK_KILLS=500 in the environment makes it 500, which takes some ten minutes.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { openCask } from 'baileys-cask'
import { goneSegments, sizesIn, tempFolder } from './helpers/folders.mjs'
import { LANES, nothing, progressOf } from './helpers/kill-lanes.mjs'
import { seeded } from './helpers/seeded.mjs'

const MAIN = fileURLToPath(new URL('./helpers/kill-main.mjs', import.meta.url))
const ROUNDS = Number(process.env.CASK_KILLS ?? 12)
/** A log that is longer goes, and the next round begins a new one: without this a long run would spend its time reading. */
const MOST_BYTES = 200 * 2 ** 20
/** A segment of so many bytes has most likely ended because it was full, not because its process did. */
const FULL_BYTES = 3 * 2 ** 20

/** A process comes to where it is to be killed within a second or two. */
const PATIENCE_MS = 60_000

/** A failure can be repeated, more or less, with CASK_SEED=... */
const seed = Number(process.env.CASK_SEED ?? Date.now() % 2 ** 31)

/** When a process is killed: so long after it began, after the first time that it says something, or when it has said so much; then it may be frozen first. */
const momentOf = (round, random) => {
  switch (round % 8) {
    case 0: return { ms: random(300) }
    case 2: case 5: return { at: 'opening', ms: random(20) }
    case 4: return { at: 'closing', ms: random(3) }
    case 7: return { at: 'closing', ms: random(30) }
    case 6: return { lines: 1 + random(2000), frozen: true }
    default: return { lines: 1 + Math.floor(Math.exp(random(900) / 100)) }
  }
}

/** Runs the process and kills it; notes in `bounds` what each lane may have done. Gives what it was about when it died. */
async function runUntilKilled({ folder, options, bounds, seed, moment }) {
  const plan = join(folder, 'plan.json')
  writeFileSync(plan, JSON.stringify({ options, bounds, seed }))
  const child = spawn(process.execPath, [MAIN, plan], { stdio: ['ignore', 'inherit', 'pipe', 'pipe'] })
  const kill = () => {
    if (moment.frozen) child.kill('SIGSTOP')
    child.kill('SIGKILL')
  }
  const killAfter = ms => (ms === 0 ? kill() : sleep(ms).then(kill))
  let [stderr, cut, about, lines, steps, failure] = ['', '', 'loading', 0, 0, undefined]
  child.stderr.setEncoding('utf8').on('data', text => (stderr += text))
  if (!moment.at && !moment.lines) killAfter(moment.ms)

  const hear = line => {
    const [what, lane, step] = line.split(' ')
    if (!lane) {
      about = what
      if (what === moment.at) killAfter(moment.ms)
      return
    }
    const n = Number(step)
    const bound = bounds[lane]
    if (what === 'found') assert.ok(bound.least <= n && n <= bound.most, `${lane} is found after ${n} steps, not ${bound.least} to ${bound.most}`)
    if (what === 'done') steps++
    if (what !== 'begin') bound.least = n
    bound.most = n
    if (what !== 'found' && ++lines === moment.lines) kill()
  }
  child.stdio[3].setEncoding('utf8').on('data', text => {
    // The last line may be cut, by the kill for good.
    const whole = (cut + text).split('\n')
    cut = whole.pop()
    try {
      whole.forEach(hear)
    } catch (error) {
      failure ??= error
      kill()
    }
  })
  const late = setTimeout(() => {
    failure ??= new Error(`the process has not come to where it was to be killed: ${JSON.stringify(moment)}, it is ${about}, after ${lines} lines`)
    kill()
  }, PATIENCE_MS)
  const signal = await new Promise(resolve => child.on('close', (code, signal) => resolve(signal)))
  clearTimeout(late)
  if (failure) throw failure
  assert.equal(signal, 'SIGKILL', stderr)
  return { about, steps }
}

for (const durability of ['process', 'power']) {
  const name = `${ROUNDS} kills of a process that writes from several threads (${durability}): what was acknowledged is there, whole batches only, and writing goes on`
  test(`${name} (seed ${seed})`, { timeout: 60_000 + ROUNDS * 4000 }, async t => {
    const random = seeded(seed)
    const folder = tempFolder(t)
    const options = { path: join(folder, 'cask'), durability, syncIntervalMs: 20 }
    const fresh = () => Object.fromEntries(LANES.map(lane => [lane, { base: nothing(), least: 0, most: 0 }]))
    let bounds = fresh()
    const diedAbout = {}
    const count = { steps: 0, midway: 0, logs: 1, fullSegments: 0, compacted: 0, mostBytes: 0 }
    for (let round = 0; round < ROUNDS; round++) {
      const moment = momentOf(round, random)
      const { about, steps } = await runUntilKilled({ folder, options, bounds, seed: random(2 ** 31), moment })
      diedAbout[about] = (diedAbout[about] ?? 0) + 1
      count.steps += steps
      // Every third time the next process is the one that recovers, and may be killed meanwhile.
      if (round % 3 === 1 && round < ROUNDS - 1) continue

      const cask = await openCask(options)
      const found = await progressOf(cask, bounds).catch(error => {
        throw new Error(`round ${round}, killed ${JSON.stringify(moment)} while ${about}`, { cause: error })
      })
      for (const lane of LANES) {
        if (found[lane].n < bounds[lane].most) count.midway++
        bounds[lane] = { base: found[lane], least: found[lane].n, most: found[lane].n }
      }
      // What was reopened takes writes, and keeps them.
      const { keys } = cask.account('parent')
      await keys.transaction(tx => tx.set({ other: { round } }))
      await keys.set({ session: { [round % 5]: { round }, [(round + 2) % 5]: null } })
      assert.deepEqual([await keys.get('other', ['round']), await keys.get('session', [`${round % 5}`])], [{ round }, { [round % 5]: { round } }])
      await cask.close()
      const sizes = sizesIn(options.path)
      count.compacted = Math.max(count.compacted, goneSegments(options.path))
      count.fullSegments = Math.max(count.fullSegments, sizes.filter(size => size > FULL_BYTES).length)
      const bytes = sizes.reduce((sum, size) => sum + size, 0)
      count.mostBytes = Math.max(count.mostBytes, bytes)
      if (bytes > MOST_BYTES) {
        rmSync(options.path, { recursive: true })
        bounds = fresh()
        count.logs++
      }
    }
    t.diagnostic(`died while ${JSON.stringify(diedAbout)}; ${JSON.stringify(count)}`)
    assert.ok(count.steps > ROUNDS * 5, `only ${count.steps} steps were acknowledged`)
    assert.ok(count.midway > 0, 'no kill came between the begin and the end of a write')
    // Where a kill of a few rounds falls is a matter of luck.
    if (ROUNDS < 500) return
    assert.ok(count.compacted > ROUNDS / 2, `only ${count.compacted} segments have gone: nothing was compacted`)
    for (const about of ['loading', 'opening', 'open', 'closing']) assert.ok(diedAbout[about] > 0, `no kill while ${about}`)
  })
}
