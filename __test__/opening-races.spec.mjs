// Two processes open one folder at the same moment: exactly one has it. 60 times; CASK_RACES=1000 in the environment makes it 1,000.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { openCask } from 'baileys-cask'
import { copyFolder, newPath } from './helpers/folders.mjs'
import { startChild } from './helpers/remote.mjs'
import { seeded } from './helpers/seeded.mjs'

const ROUNDS = Number(process.env.CASK_RACES ?? 60)
const seed = Number(process.env.CASK_SEED ?? Date.now() % 2 ** 31)
/** Time for a message to reach both processes before they open. */
const HEAD_START_US = 1500
/** They open up to so much after each other: what opening a folder takes. */
const APART_US = 600

/** What the folder is before the race. */
const STATES = {
  'is not there': path => rmSync(path, { recursive: true, force: true }),
  'was closed by one of the two': () => {},
  'was left by a process that was killed': (path, left) => {
    rmSync(path, { recursive: true, force: true })
    copyFolder(left, path)
  },
}

/** A folder as a process leaves it that is killed: it names an owner, and its log has no end. */
async function leftByKilled(t) {
  const path = newPath(t)
  const child = await startChild(t)
  await child.run(async ({ openCask }, path) => {
    const cask = await openCask({ path })
    await cask.account().keys.set({ other: { pid: process.pid } })
  }, path)
  await child.kill()
  return path
}

/** Opens at a moment of the clock that all processes of the machine share. */
const openAt = (child, path, at) => child.run(async ({ openCask, kept }, { path, at }) => {
  while (process.hrtime.bigint() < at);
  try {
    kept.cask = await openCask({ path })
    await kept.cask.account().keys.set({ other: { pid: process.pid } })
    return 'has it'
  } catch ({ code, pid, host, message }) {
    return { code, pid, host, message }
  }
}, { path, at })

test(`two processes open one folder at once, ${ROUNDS} times: one has it, the other hears who (seed ${seed})`, { timeout: 60_000 + ROUNDS * 200 }, async t => {
  const random = seeded(seed)
  const children = await Promise.all([startChild(t), startChild(t)])
  const left = await leftByKilled(t)
  const path = newPath(t)
  const wins = [0, 0]
  let unknown = 0
  for (let round = 0; round < ROUNDS; round++) {
    const [state, prepare] = Object.entries(STATES)[round % 3]
    prepare(path, left)
    const now = process.hrtime.bigint() + BigInt(HEAD_START_US * 1000)
    const results = await Promise.all(children.map(child => openAt(child, path, now + BigInt(random(APART_US) * 1000))))
    const shown = `round ${round}, a folder that ${state}: ${JSON.stringify(results)}`
    assert.equal(results.filter(result => result === 'has it').length, 1, shown)
    const winner = results.indexOf('has it')
    const [holder, loser] = [children[winner], children[1 - winner]]
    wins[winner]++
    let refused = results[1 - winner]
    if (refused.pid === undefined) {
      // The holder had not come to say who it is, for longer than the other one waits to hear. Now it has.
      assert.match(refused.message, /held by an unknown process/, shown)
      unknown++
      refused = await openAt(loser, path, 0n)
    }
    assert.equal(refused.code, 'ERR_CASK_LOCKED', shown)
    assert.equal(refused.pid, holder.pid, shown)
    // The refused one has left no mark: the holder reads and writes on.
    await holder.run(async ({ kept }) => {
      const { keys } = kept.cask.account()
      const { pid } = await keys.get('other', ['pid'])
      if (pid !== process.pid) throw new Error(`another process has written: ${pid}`)
      await kept.cask.close()
    })
  }
  t.diagnostic(`won by ${wins.join(' and ')}; ${unknown} times the holder was not known at once`)
  assert.ok(unknown <= ROUNDS / 20, `${unknown} times the holder was not known`)
  for (const won of wins) assert.ok(won > 0, `only one of the two ever came first: ${wins}`)
})

test(`a folder goes to and fro between two processes, ${ROUNDS} times: nothing is lost on the way, and nothing has to be cut off`, { timeout: 60_000 + ROUNDS * 200 }, async t => {
  const children = await Promise.all([startChild(t), startChild(t)])
  const path = newPath(t)
  const each = Math.ceil(ROUNDS / 2)
  await Promise.all(children.map(child => child.run(async ({ openCask }, { path, each }) => {
    for (let i = 0; i < each; i++) {
      const cask = await openCask({ path, openWaitMs: 30_000 })
      if (cask.recovery.cutBytes > 0) throw new Error(`${cask.recovery.cutBytes} bytes had to be cut off`)
      const { keys } = cask.account()
      const { n = 0 } = await keys.get('other', ['n'])
      await keys.set({ other: { n: n + 1 }, session: { [n]: { pad: Buffer.alloc(n * 10) } } })
      await cask.close()
      // Only now and then does the other one come while this one has nothing open.
      if (i % 4 === 0) await new Promise(resolve => setTimeout(resolve, 1))
    }
  }, { path, each })))
  const cask = await openCask({ path })
  const { keys } = cask.account()
  assert.deepEqual(await keys.get('other', ['n']), { n: 2 * each })
  const ids = Array.from({ length: 2 * each }, (_, n) => `${n}`)
  assert.deepEqual(Object.keys(await keys.get('session', ids)).sort(), ids.sort())
  await cask.close()
})

test('a folder whose holder is killed while others wait goes to exactly one of them', { timeout: 60_000 }, async t => {
  const path = newPath(t)
  let holder = await startChild(t)
  await holder.run(async ({ openCask, kept }, path) => { kept.cask = await openCask({ path }) }, path)
  for (let round = 0; round < 4; round++) {
    const waiting = await Promise.all([startChild(t), startChild(t)])
    const open = child => child.run(async ({ openCask, kept }, path) => {
      kept.cask = await openCask({ path, openWaitMs: 30_000 })
      await kept.cask.account().keys.set({ other: { pid: process.pid } })
    }, path).then(() => child)
    const opening = waiting.map(open)
    await holder.kill()
    const first = await Promise.race(opening)
    const second = waiting.find(child => child !== first)
    await assert.rejects(openCask({ path }), { code: 'ERR_CASK_LOCKED', pid: first.pid })
    await first.kill()
    await Promise.all(opening)
    holder = second
  }
})
