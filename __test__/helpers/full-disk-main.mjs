// What happens to a cask on a disk that fills up, in a process that has a small file system for itself. See full-disk.spec.mjs.
import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, fsyncSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openCask } from 'baileys-cask'
import { contents } from './casks.mjs'
import { until } from './gate.mjs'

const [what, durability] = process.argv.slice(2)
const disk = process.env.DISK
// Without a cache of values: all that is read comes from the disk.
const options = { path: join(disk, 'cask'), durability, syncIntervalMs: 50, cacheBytes: 0 }
const ballast = join(disk, 'ballast')
const ENOSPC = 28
const seen = { acknowledged: 0, refused: 0 }

/** Takes all but so many bytes of the disk for something else. */
function takeAllBut(bytes) {
  const { bavail, bsize } = statfsSync(disk)
  const file = openSync(ballast, 'w')
  for (let left = bavail * bsize - bytes; left > 0; left -= 65_536) writeSync(file, Buffer.alloc(Math.min(left, 65_536), 1))
  // What is only promised is not taken yet.
  fsyncSync(file)
  closeSync(file)
}
const giveBack = () => rmSync(ballast)

const valueOf = (n, bytes = 4000) => ({ n, pad: Buffer.alloc(bytes, n) })

/** What must be there: by id the step that was acknowledged last. */
class Expected {
  sessions = new Map()
  creds
  guest
  cleared

  /** Makes a write that is to leave `sessions` and `creds` behind; it is there as a whole or, where the disk is full, not at all. */
  async write(call, { sessions = [], creds } = {}) {
    try {
      await call()
    } catch (error) {
      assert.equal(error.code, 'ERR_CASK_IO', error.stack)
      assert.equal(error.errno, ENOSPC, error.stack)
      assert.equal(error.retryable, true)
      assert.match(error.message, /no space left/i)
      seen.refused++
      return false
    }
    for (const [id, n] of sessions) n === null ? this.sessions.delete(id) : this.sessions.set(id, n)
    if (creds) this.creds = creds
    seen.acknowledged++
    return true
  }

  set = (keys, id, n, bytes) => this.write(() => keys.set({ session: { [id]: valueOf(n, bytes) } }), { sessions: [[id, n]] })

  async check(cask) {
    const { default: { creds, records } = { records: {} }, guest, cleared } = await contents(cask)
    assert.deepEqual([guest?.records.other, cleared?.records.other], [this.guest, this.cleared].map(name => name && [['name', name]]))
    assert.deepEqual(creds, this.creds)
    assert.deepEqual(Object.keys(records).filter(family => family !== 'session'), [])
    assert.deepEqual(new Map((records.session ?? []).map(([id, { n }]) => [id, n])), this.sessions)
    for (const [, { n, pad }] of records.session ?? []) assert.ok(pad.every(byte => byte === n % 256))
  }
}

/** Writes until so many writes in a row were refused. */
async function fill(keys, expected, { lanes = 1 } = {}) {
  let n = 0
  let refusedInARow = 0
  const lane = async at => {
    while (refusedInARow < 12) {
      const step = ++n
      // New records, and old ones that are replaced.
      const written = await expected.set(keys, step % 3 ? `${at}/${step}` : `${at}/again`, step)
      refusedInARow = written ? 0 : refusedInARow + 1
    }
  }
  await Promise.all(Array.from({ length: lanes }, (_, at) => lane(at)))
  return n
}

/** Every way to write, on a full disk: each is refused as a whole, or fits into the last bytes as a whole. */
async function tryEverything(cask, expected, n) {
  const { keys, saveCreds } = cask.account()
  const pad = Buffer.alloc(6000, 1)
  await expected.write(() => keys.set({ session: { again: valueOf(n), more: valueOf(n) } }), { sessions: [['again', n], ['more', n]] })
  await expected.write(() => saveCreds({ n, pad }), { creds: { n, pad } })
  await expected.write(() => keys.transaction(async tx => {
    await tx.set({ session: { first: valueOf(n) } })
    await tx.set({ session: { second: valueOf(n), '0/1': null } })
    await tx.setCreds({ n, pad })
  }, 'label'), { sessions: [['first', n], ['second', n], ['0/1', null]], creds: { n, pad } })
  // Larger than what is written on the calling thread, and than what is free.
  await expected.set(keys, 'large', n, 3_000_000)
  // Small enough for the last bytes, perhaps.
  if (await expected.write(() => cask.account('guest').drop())) expected.guest = undefined
  if (await expected.write(() => cask.account('cleared').keys.clear())) expected.cleared = undefined
}

/** Accounts that go while the disk is full, or stay. */
async function addGuests(cask, expected) {
  for (const name of ['guest', 'cleared']) {
    await cask.account(name).keys.set({ other: { name } })
    expected[name] = name
  }
}

/** There is room again: the same calls are carried out. */
async function goOn(cask, expected, n) {
  const before = seen.refused
  await tryEverything(cask, expected, n)
  for (let step = n; step < n + 50; step++) await expected.set(cask.account().keys, `after/${step}`, step)
  assert.equal(seen.refused, before, 'refused though there is room')
  await cask.flush()
  await expected.check(cask)
}

async function reopened(expected, check = async () => {}) {
  const cask = await openCask(options)
  assert.deepEqual(cask.recovery, { cutBytes: 0, cutFrames: 0 }, 'something had to be cut off')
  await expected.check(cask)
  await check(cask)
  await cask.close()
}

const CASES = {
  async 'fills'(lanes = 1) {
    const cask = await openCask(options)
    const expected = new Expected()
    await addGuests(cask, expected)
    takeAllBut(2_000_000)
    const n = await fill(cask.account().keys, expected, { lanes })
    await expected.check(cask)
    await tryEverything(cask, expected, n + 1)
    await expected.check(cask)
    giveBack()
    await goOn(cask, expected, n + 2)
    await cask.close()
    await reopened(expected, cask => goOn(cask, expected, n + 100))
    await reopened(expected)
  },
  'fills with many under way': () => CASES.fills(64),
  async 'is full at a close'() {
    const cask = await openCask(options)
    const expected = new Expected()
    takeAllBut(2_000_000)
    const n = await fill(cask.account().keys, expected, { lanes: 8 })
    await expected.write(() => cask.close())
    // Opening may have no room for what it writes, and then says so; it loses nothing by trying.
    for (let attempt = 0; attempt < 3; attempt++) {
      const opened = await openCask(options).catch(error => void assert.deepEqual([error.code, error.errno], ['ERR_CASK_IO', ENOSPC]))
      if (!opened) continue
      await expected.check(opened)
      await expected.write(() => opened.close())
    }
    giveBack()
    await reopened(expected, cask => goOn(cask, expected, n + 1))
    await reopened(expected)
  },
  async 'is full at a kill'() {
    takeAllBut(2_000_000)
    const child = fork(fileURLToPath(import.meta.url), ['the one that is killed', durability], { serialization: 'advanced' })
    const [{ sessions, told }] = await once(child, 'message')
    child.kill('SIGKILL')
    await once(child, 'exit')
    Object.assign(seen, told)
    const expected = new Expected()
    expected.sessions = sessions
    giveBack()
    const cask = await openCask(options)
    await goOn(cask, expected, 100_000)
    await cask.close()
    await reopened(expected)
  },
  async 'is overwritten for ever'() {
    const relaxed = { ...options, syncIntervalMs: 1000 }
    const cask = await openCask(relaxed)
    const expected = new Expected()
    const { keys } = cask.account()
    for (let n = 1; n <= 40_000; n++) {
      // A disk that was full for a moment has room again without anybody's help: nearly all of the log is dead.
      await until(`there is room again for set ${n}`, () => expected.set(keys, `${n % 200}`, n), 10_000)
      if (n % 8 === 0) await new Promise(setImmediate)
    }
    await expected.check(cask)
    await cask.close()
    await reopened(expected)
  },
  async 'the one that is killed'() {
    const cask = await openCask(options)
    const expected = new Expected()
    await fill(cask.account().keys, expected, { lanes: 8 })
    process.send({ sessions: expected.sessions, told: seen })
    await new Promise(() => setInterval(() => {}, 1000))
  },
}

await CASES[what]()
process.stdout.write(`${JSON.stringify(seen)}\n`)
