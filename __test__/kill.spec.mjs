import { test } from 'node:test'
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { openCask } from 'baileys-cask'
import { newPath } from './helpers/folders.mjs'
import { startChild } from './helpers/remote.mjs'

const MAIN = fileURLToPath(new URL('./helpers/kill-main.mjs', import.meta.url))
const ROUNDS = 50

/** Numbers that a failure can be repeated with: CASK_SEED=... */
const seed = Number(process.env.CASK_SEED ?? Date.now() % 2 ** 31)
let state = seed >>> 0
const random = below => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  return Math.floor((state / 2 ** 32) * below)
}

/** Lets a writer run and kills it; gives for each lane the last step that began and the last that was acknowledged. */
async function writeUntilKilled({ path, durability, from, killAfter }) {
  const child = spawn(process.execPath, [MAIN, JSON.stringify({ path, durability, from, seed: random(2 ** 31) })], { stdio: ['ignore', 'inherit', 'pipe', 'pipe'] })
  let heard = ''
  let stderr = ''
  let lines = 0
  child.stderr.setEncoding('utf8').on('data', text => (stderr += text))
  child.stdio[3].setEncoding('utf8').on('data', text => {
    heard += text
    lines += text.split('\n').length - 1
    if ('lines' in killAfter && lines >= killAfter.lines) child.kill('SIGKILL')
  })
  const closed = new Promise(resolve => child.on('close', (code, signal) => resolve({ code, signal })))
  // Before the first line: a kill while the package loads, or while the cask opens or recovers.
  const timer = 'ms' in killAfter ? setTimeout(() => child.kill('SIGKILL'), killAfter.ms) : undefined
  const { signal } = await closed
  clearTimeout(timer)
  assert.equal(signal, 'SIGKILL', stderr)
  const begun = {}
  const acknowledged = {}
  // The last line may have been cut by the kill.
  for (const line of heard.split('\n').slice(0, -1)) {
    const [what, account, kind, n] = line.split(' ')
    if (what === 'open') continue
    const told = what === 'begin' ? begun : acknowledged
    told[`${account} ${kind}`] = Number(n)
  }
  return { begun, acknowledged }
}

const same = (values, what) => {
  assert.equal(new Set(values).size, 1, `${what} is torn: ${values}`)
  return values[0]
}

/** What one account holds, as the number of the last step of each lane; fails where a batch is torn. */
async function stepsOf(cask, name) {
  const { keys, loadCreds } = cask.account(name)
  const { single, 'batch-a': batch, 'commit-a': commit } = await keys.get('session', ['single', 'batch-a', 'commit-a'])
  const other = await keys.get('other', ['batch-c', 'commit-c', 'undone'])
  const steps = {}
  assert.equal(other.undone, undefined, 'what was rolled back is there')
  if (single) {
    steps.single = single.n
    assert.ok(single.pad.every(byte => byte === single.n % 256))
  }
  const { 'batch-b': preKey } = await keys.get('pre-key', ['batch-b'])
  const { batch: senderKey } = await keys.get('sender-key', ['batch'])
  if (batch || preKey || senderKey || other['batch-c'] !== undefined) {
    const n = (steps.batch = same([batch?.n, preKey?.n, other['batch-c']], 'a batch'))
    assert.ok(senderKey.every(byte => byte === n % 256), 'a batch is torn')
    const { [`batch-${n % 7}`]: own, [`batch-${(n + 3) % 7}`]: removed } = await keys.get('session', Array.from({ length: 7 }, (_, i) => `batch-${i}`))
    assert.equal(own?.n, n)
    assert.equal(removed, undefined)
  }
  const creds = await loadCreds()
  const { 'commit-b': list } = await keys.get('device-list', ['commit-b'])
  if (commit || list || other['commit-c'] !== undefined || creds?.of) {
    const n = (steps.commit = same([commit?.n, list?.[0], other['commit-c'], creds?.n], 'a commit'))
    assert.ok(list[1].every(byte => byte === n % 256))
  } else if (creds) {
    steps.creds = creds.n
    assert.ok(creds.key.every(byte => byte === creds.n % 256))
  }
  return steps
}

for (const durability of ['process', 'power']) {
  test(`${ROUNDS} kills of a writer (${durability}): nothing acknowledged is lost, no batch is torn, and writing goes on (seed ${seed})`, { timeout: 120_000 }, async t => {
    const path = newPath(t)
    let from = {}
    let acknowledgedInAll = 0
    let midway = 0
    for (let round = 0; round < ROUNDS; round++) {
      const killAfter = round % 10 === 9 ? { ms: random(120) } : { lines: 2 + random(round % 2 ? 60 : 600) }
      const { begun, acknowledged } = await writeUntilKilled({ path, durability, from, killAfter })
      const cask = await openCask({ path, durability })
      const found = {}
      for (const account of ['a', 'b', 'c']) for (const [kind, n] of Object.entries(await stepsOf(cask, account))) found[`${account} ${kind}`] = n
      for (const lane of new Set([...Object.keys(from), ...Object.keys(begun)])) {
        if (lane.endsWith(' undone')) continue
        const least = acknowledged[lane] ?? from[lane] ?? 0
        const most = begun[lane] ?? from[lane] ?? 0
        const present = found[lane] ?? 0
        assert.ok(present >= least, `round ${round}, ${lane}: step ${least} was acknowledged, step ${present} is there`)
        assert.ok(present <= most, `round ${round}, ${lane}: step ${present} is there and only ${most} began`)
        acknowledgedInAll += least - (from[lane] ?? 0)
        if (present < most) midway++
      }
      // The reopened store takes writes, and keeps them.
      await cask.account('parent').keys.set({ other: { round } })
      assert.deepEqual(await cask.account('parent').keys.get('other', ['round']), { round })
      await cask.close()
      from = found
    }
    assert.ok(acknowledgedInAll > ROUNDS * 5, `only ${acknowledgedInAll} steps were acknowledged`)
    assert.ok(midway > 0, 'no kill came between the begin and the end of a write')
  })
}

test('two processes that race to open one folder: exactly one has it', { timeout: 60_000 }, async t => {
  const children = await Promise.all([startChild(t), startChild(t), startChild(t)])
  const folders = Array.from({ length: 15 }, () => newPath(t))
  for (let round = 0; round < 60; round++) {
    // At first the folder is not there, then it is; every third time the last holder was killed by nobody and closed nothing else.
    const path = folders[round % folders.length]
    const results = await Promise.all(children.map(child => child.run(async ({ openCask, kept }, path) => {
      try {
        kept.cask = await openCask({ path })
        await kept.cask.account().keys.set({ other: { pid: process.pid } })
        return 'has it'
      } catch ({ code, pid }) {
        return { code, pid }
      }
    }, path)))
    const winner = results.indexOf('has it')
    assert.equal(results.filter(result => result === 'has it').length, 1, JSON.stringify(results))
    for (const result of results) {
      if (result === 'has it') continue
      assert.equal(result.code, 'ERR_CASK_LOCKED')
      assert.ok([children[winner].pid, undefined].includes(result.pid), `${result.pid} is not the holder`)
    }
    await children[winner].run(({ kept }) => kept.cask.close())
  }
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
