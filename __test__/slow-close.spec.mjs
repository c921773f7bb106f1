// A close() that waits does not wait in silence.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { open } from './helpers/casks.mjs'
import { newPath } from './helpers/folders.mjs'
import { gate, until, within } from './helpers/gate.mjs'
import { keepingLogger, published } from './helpers/reports.mjs'

const SOON_MS = 10_000
const WARN_MS = 40

/** A cask with work in it that holds no lock and goes on until it is let go, which nothing else reports. */
async function busy(t, options) {
  const heard = published(t)
  const { told, logger } = keepingLogger()
  const path = newPath(t)
  const cask = await open(t, { path, stallWarnMs: WARN_MS, logger, ...options })
  const leave = gate()
  const ended = cask.account('shop').keys.transaction(() => leave.opened, undefined)
  return { cask, path, heard, told, leave, ended }
}

test('a close that waits for longer than stallWarnMs is reported once, with what it waits for, and once more when it ends', async t => {
  const { cask, path, heard, told, leave, ended } = await busy(t)
  const closed = cask.close()
  await until('the report', () => heard.length > 0)
  await sleep(WARN_MS * 3)
  leave.open()
  await within(SOON_MS, 'both', Promise.all([ended, closed]))
  assert.deepEqual(heard.map(({ on, ageMs, ...facts }) => [on, facts]), [
    ['stall', { role: 'close', path, pending: 1, transactions: [{ account: 'shop' }] }],
    ['stall-end', { role: 'close', path }],
  ])
  for (const { ageMs } of heard) assert.ok(ageMs >= WARN_MS - 1, `${ageMs} ms`)
  assert.deepEqual(told.map(({ level, facts }) => [level, facts]), heard.map(({ on, ...facts }) => ['warn', facts]))
  assert.match(told[0].words, /close\(\) waits for 1 transactions and calls/)
})

test('one that ends sooner is not, and none with stallWarnMs: 0', async t => {
  for (const options of [{ stallWarnMs: 60_000 }, { stallWarnMs: 0 }]) {
    const { cask, heard, told, leave, ended } = await busy(t, options)
    const closed = cask.close()
    await sleep(WARN_MS * 2)
    leave.open()
    await within(SOON_MS, 'both', Promise.all([ended, closed]))
    assert.deepEqual([heard, told], [[], []])
  }
})

test('a logger that throws does not keep a cask from closing', async t => {
  const { logger } = keepingLogger()
  let asked = 0
  const { cask, leave, ended } = await busy(t, { logger: { ...logger, warn: () => { asked++; throw new Error('no logger') } } })
  const closed = cask.close()
  await until('it was asked', () => asked > 0)
  leave.open()
  await within(SOON_MS, 'both', Promise.all([ended, closed]))
  assert.equal(asked, 2)
})
