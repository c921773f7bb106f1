// Damage that compaction meets in the background, where no call is there to reject.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { open } from './helpers/casks.mjs'
import { newPath } from './helpers/folders.mjs'
import { until, within } from './helpers/gate.mjs'
import { keepingLogger } from './helpers/reports.mjs'
import { runScript } from './helpers/script.mjs'
import { damage } from './helpers/upkeep.mjs'

/** A cask of this size ends its segments here. */
const SEGMENT_BYTES = 4 << 20
const VALUE_BYTES = 32 << 10
const RECORDS = SEGMENT_BYTES / VALUE_BYTES
const SECRET = 'never-to-be-seen'
const valueOf = (n, round) => `${SECRET} ${round} ${n} `.padEnd(VALUE_BYTES, 'x')

/** Fills the first segment and begins the next one. */
async function fillSegment(keys, round) {
  for (let n = 0; n <= RECORDS; n++) await keys.set({ session: { [`id ${n}`]: valueOf(n, round) } })
}

/** Changes one byte in the middle of the first segment: of a value that nobody reads. */
function damageFirst(folder) {
  const [name] = readdirSync(folder).filter(name => name.endsWith('.seg')).sort()
  const path = join(folder, name)
  const at = statSync(path).size >> 1
  damage(path, at)
  return { path, at }
}

/** A cask whose first segment is damaged; `tidy` makes most of what is in it void, until it is compacted. */
async function damaged(t, options) {
  const path = newPath(t)
  const { told, logger } = keepingLogger()
  const cask = await open(t, { path, logger, syncIntervalMs: 10, cacheBytes: 0, ...options })
  const { keys } = cask.account()
  await keys.set({ session: { stays: valueOf(-1, 0) } })
  await fillSegment(keys, 0)
  const place = damageFirst(path)
  const errors = () => told.filter(({ level }) => level === 'error')
  // It is looked at when a segment has ended, and how long one becomes depends on what was needed then.
  const tidy = () => until('the report', async () => {
    await fillSegment(keys, 1)
    return errors().length > 0
  })
  return { path, cask, keys, told, place, tidy, errors }
}

for (const durability of ['process', 'power']) {
  test(`the logger hears of it once, with file and offset (${durability})`, async t => {
    const { path, cask, keys, told, place, tidy, errors } = await damaged(t, { durability })
    const second = keepingLogger()
    const other = await open(t, { path, logger: second.logger })
    const quiet = await open(t, { path })
    const silent = keepingLogger()
    await (await open(t, { path, logger: silent.logger })).close()
    await tidy()
    await until('the report to the other one', () => second.told.length > 0)
    const [{ facts, words }] = errors()
    assert.deepEqual(Object.keys(facts), ['code', 'path', 'offset'])
    assert.deepEqual([facts.code, facts.path], ['ERR_CASK_CORRUPT', place.path])
    assert.ok(facts.offset <= place.at && facts.offset > place.at - 2 * VALUE_BYTES, `${facts.offset} of ${place.at}`)
    assert.match(words, /is damaged at byte/)

    await assert.rejects(cask.compact(), { code: 'ERR_CASK_CORRUPT', path: place.path, offset: facts.offset })
    await assert.rejects(quiet.compact(), { code: 'ERR_CASK_CORRUPT' })
    // It goes on all the same.
    for (let round = 0; round < 3; round++) await fillSegment(keys, 1)
    await cask.flush()
    assert.deepEqual(await keys.get('session', ['stays', 'id 1']), { stays: valueOf(-1, 0), 'id 1': valueOf(1, 1) })
    assert.deepEqual(told, errors())
    assert.equal(errors().length, 1)
    assert.equal(second.told.length, 1)
    assert.deepEqual(silent.told, [])
    assert.doesNotMatch(inspect([told, second.told], { depth: null }), new RegExp(`${SECRET}|id 1`))

    // Who comes later hears of it too.
    const late = keepingLogger()
    await open(t, { path, logger: late.logger })
    await until('the report', () => late.told.length > 0)
    assert.deepEqual(late.told, [{ level: 'error', facts, words }])
    await other.close()
  })
}

test('a logger that throws keeps nobody from going on', async t => {
  const { keys, place, tidy, cask } = await damaged(t)
  const { logger } = keepingLogger()
  const called = new Promise(resolve => {
    logger.error = () => {
      resolve()
      throw new Error('a full disk, maybe')
    }
  })
  const other = await open(t, { path: cask.path, logger })
  await tidy()
  await within(10_000, 'the report', called)
  await keys.set({ session: { later: 'x' } })
  await assert.rejects(other.compact(), { path: place.path })
})

test('a cask in memory has nothing to report', async t => {
  const { told, logger } = keepingLogger()
  const cask = await open(t, { logger })
  await cask.account().keys.set({ session: { a: 1 } })
  await cask.close()
  assert.deepEqual(told, [])
})

test('that somebody listens keeps no process alive', async t => {
  const { code, signal, late, stderr, stdout } = await runScript(`
    import { openCask } from 'baileys-cask'
    const logger = Object.fromEntries(['trace', 'debug', 'info', 'warn', 'error'].map(level => [level, console.log]))
    const cask = await openCask({ path: ${JSON.stringify(newPath(t))}, logger: { ...logger, level: 'trace', child: () => logger } })
    await cask.account().keys.set({ session: { a: 1 } })
  `, { ms: 10_000 })
  assert.deepEqual({ code, signal, late, stderr, stdout }, { code: 0, signal: null, late: false, stderr: '', stdout: '' })
})
