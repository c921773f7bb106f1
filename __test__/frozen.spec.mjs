// Processes that are stopped and go on (SIGSTOP, SIGCONT), as by a debugger, a container that is paused, a laptop that sleeps; and processes
// that are asked to end (SIGTERM) in the middle of writes.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { openCask } from 'baileys-cask'
import { open } from './helpers/casks.mjs'
import { afterwards } from './helpers/cleanup.mjs'
import { newPath } from './helpers/folders.mjs'
import { isPending, until } from './helpers/gate.mjs'
import { startChild } from './helpers/remote.mjs'

const skip = process.platform === 'win32' && 'no such signals on Windows'

/** A child that can be frozen; it is let go on with the test, so that it can end. */
async function freezable(t) {
  const child = await startChild(t)
  const signal = name => process.kill(child.pid, name)
  child.goOn = () => signal('SIGCONT')
  child.freeze = async () => {
    signal('SIGSTOP')
    if (process.platform !== 'linux') return
    const isStopped = task => readFileSync(`/proc/${child.pid}/${task}`, 'utf8').split(') ').at(-1).startsWith('T')
    await until('the process is stopped', () => isStopped('stat'))
  }
  afterwards(t, () => { try { child.goOn() } catch { /* it has ended */ } })
  return child
}

const hold = (child, path) => child.run(async ({ openCask, kept }, path) => {
  kept.cask = await openCask({ path })
  await kept.cask.account().keys.set({ other: { pid: process.pid } })
}, path)

/** Writes, several at a time and from transactions too, until it is stopped for good; says how far it has come when it is asked. */
const write = (child, path, durability) => child.run(async ({ openCask, kept, say }, { path, durability }) => {
  const cask = (kept.cask = await openCask({ path, durability, syncIntervalMs: 10 }))
  const { keys } = cask.account()
  kept.begun = {}
  kept.done = {}
  kept.lanes = Array.from({ length: 8 }, async (_, at) => {
    for (let n = 1; !kept.stop; n++) {
      const write = { session: { [`${at}`]: { n, pad: Buffer.alloc(n % 3000, n) } }, other: { [`${at}`]: n } }
      kept.begun[at] = n
      if (n % 3 === 0) await keys.transaction(tx => tx.set(write), `${at % 3}`)
      else await keys.set(write)
      kept.done[at] = n
      if (n === 20) say(`lane ${at} writes`)
      if (n % 4 === 0) await new Promise(setImmediate)
    }
  })
  // What fails is told when the lanes are waited for.
  for (const lane of kept.lanes) lane.catch(() => {})
}, { path, durability })
const writes = async child => { for (let at = 0; at < 8; at++) await child.heard(`lane ${at} writes`) }
const doneBy = child => child.run(({ kept }) => kept.done)

/** Every lane is there as a whole, and as far as it was acknowledged; one more step of it may be there. */
async function checkLanes(cask, done, more = 1) {
  const { keys } = cask.account()
  for (const [at, least] of Object.entries(done)) {
    const { [at]: session } = await keys.get('session', [at])
    const { [at]: n } = await keys.get('other', [at])
    assert.ok(n >= least && n <= least + more, `lane ${at}: ${least} acknowledged, ${n} there`)
    assert.deepEqual(session, { n, pad: Buffer.alloc(n % 3000, n) })
  }
}

describe('a process that is frozen', { skip, timeout: 60_000 }, () => {
  for (const durability of ['process', 'power']) {
    test(`in the middle of writes keeps its folder, loses nothing, and goes on (${durability})`, async t => {
      const path = newPath(t)
      const child = await freezable(t)
      await write(child, path, durability)
      await writes(child)
      for (let round = 0; round < 8; round++) {
        const before = await doneBy(child)
        await child.freeze()
        await assert.rejects(openCask({ path }), { code: 'ERR_CASK_LOCKED', pid: child.pid })
        await assert.rejects(openCask({ path, openWaitMs: 60 }), { code: 'ERR_CASK_LOCKED', pid: child.pid })
        child.goOn()
        await until('it writes on', async () => Object.entries(await doneBy(child)).every(([at, n]) => n > before[at]))
      }
      const waiting = openCask({ path, openWaitMs: 30_000 })
      const done = await child.run(async ({ kept }) => {
        kept.stop = true
        await Promise.all(kept.lanes)
        await kept.cask.close()
        return kept.done
      })
      const cask = await waiting
      assert.deepEqual(cask.recovery, { cutBytes: 0, cutFrames: 0 })
      await checkLanes(cask, done, 0)
      await cask.close()
    })

    test(`and killed without ever going on leaves all that it acknowledged (${durability})`, async t => {
      const path = newPath(t)
      const child = await freezable(t)
      await write(child, path, durability)
      await writes(child)
      const done = await doneBy(child)
      await child.freeze()
      const waiting = openCask({ path, openWaitMs: 30_000 })
      assert.ok(await isPending(waiting))
      await child.kill()
      const cask = await waiting
      // It wrote on between its answer and its end.
      await checkLanes(cask, done, Infinity)
      await cask.close()
    })
  }

  test('while it has the folder keeps others waiting until it goes on and closes', async t => {
    const path = newPath(t)
    const child = await freezable(t)
    await hold(child, path)
    await child.freeze()
    const waiting = openCask({ path, openWaitMs: 30_000 })
    await assert.rejects(openCask({ path, openWaitMs: 150 }), { code: 'ERR_CASK_LOCKED', pid: child.pid })
    assert.ok(await isPending(waiting))
    const closing = child.run(({ kept }) => kept.cask.close())
    assert.ok(await isPending(closing))
    child.goOn()
    await closing
    const cask = await waiting
    assert.deepEqual(await cask.account().keys.get('other', ['pid']), { pid: child.pid })
    await cask.close()
  })

  test('while it waits for a folder is in nobody\'s way, and has it afterwards though its time is over', async t => {
    const path = newPath(t)
    const here = await open(t, { path })
    const child = await freezable(t)
    const opening = child.run(async ({ openCask, kept, say }, path) => {
      const opening = openCask({ path, openWaitMs: 200 })
      say('waits')
      // Where it was frozen in the midst of an attempt, that was its last one.
      kept.cask = await opening.catch(error => {
        if (error.code !== 'ERR_CASK_LOCKED') throw error
        return openCask({ path })
      })
    }, path)
    await child.heard('waits')
    await child.freeze()
    const frozenAt = performance.now()
    await here.close()
    // A third one has it and lets it go meanwhile: nothing of the frozen one is in the way.
    const third = await openCask({ path })
    await third.account().keys.set({ other: { third: true } })
    await third.close()
    await until('its time is over', () => performance.now() - frozenAt > 300)
    child.goOn()
    await opening
    await assert.rejects(openCask({ path }), { code: 'ERR_CASK_LOCKED', pid: child.pid })
    assert.deepEqual(await child.run(({ kept }) => kept.cask.account().keys.get('other', ['third'])), { third: true })
  })
})

describe('a process that is asked to end (SIGTERM)', { skip, timeout: 60_000 }, () => {
  for (const durability of ['process', 'power']) {
    test(`in the middle of writes leaves all that it acknowledged (${durability})`, async t => {
      const path = newPath(t)
      const child = await startChild(t)
      await write(child, path, durability)
      await writes(child)
      const done = await doneBy(child)
      assert.deepEqual(await child.kill('SIGTERM'), { code: null, signal: 'SIGTERM' })
      const cask = await open(t, { path })
      await checkLanes(cask, done, Infinity)
      await cask.account().keys.set({ other: { after: true } })
    })

    test(`and closes its cask then ends the log as a whole, with writes under way (${durability})`, async t => {
      const path = newPath(t)
      const child = await startChild(t)
      await write(child, path, durability)
      await writes(child)
      const ending = child.run(({ kept, say }) => new Promise(resolve => {
        process.once('SIGTERM', async () => {
          const underWay = { ...kept.begun }
          await kept.cask.close()
          const ends = await Promise.allSettled(kept.lanes)
          resolve({ underWay, done: kept.done, ends: ends.map(({ reason }) => reason?.code) })
        })
        say('listens')
      }))
      await child.heard('listens')
      process.kill(child.pid, 'SIGTERM')
      const { underWay, done, ends } = await ending
      // What was under way has been written, and what was begun after that is refused.
      for (const [at, n] of Object.entries(underWay)) assert.ok(done[at] >= n, `lane ${at}: step ${n} was under way, ${done[at]} was acknowledged`)
      assert.deepEqual(ends, Array(8).fill('ERR_CASK_CLOSED'))
      const cask = await open(t, { path })
      assert.deepEqual(cask.recovery, { cutBytes: 0, cutFrames: 0 })
      await checkLanes(cask, done, 0)
    })
  }
})
