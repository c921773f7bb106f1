import { test } from 'node:test'
import assert from 'node:assert/strict'
import { withCask } from 'baileys-cask'
import { open } from './helpers/casks.mjs'
import { gate, isPending, within } from './helpers/gate.mjs'
import { socketOn } from './helpers/socket-keys.mjs'

const SOON_MS = 10_000

test('a repository inside a transaction that a deadlock has doomed is refused at once: trying again is of no use there', async t => {
  const cask = await open(t)
  const { keys } = cask.account()
  const { socket, repository } = socketOn(withCask, keys)
  // The longest pauses.
  t.mock.method(Math, 'random', () => 0.999)
  const [one, two] = [gate(), gate()]
  const first = socket.transaction(async () => {
    await socket.set({ other: { a: 1 } })
    one.open()
    await two.opened
    await socket.set({ other: { b: 1 } })
  }, 'first')
  let wasPending
  let inner
  const second = socket.transaction(async () => {
    await socket.set({ other: { b: 2 } })
    await one.opened
    two.open()
    await new Promise(setImmediate)
    await assert.rejects(socket.set({ other: { a: 2 } }), { code: 'ERR_CASK_DEADLOCK' })
    inner = repository.transaction(() => assert.fail('its work began'), 'a.0')
    inner.catch(() => {})
    wasPending = await isPending(inner)
  }, 'second')
  await assert.rejects(within(SOON_MS, 'the victim', second), { code: 'ERR_CASK_DEADLOCK' })
  await assert.rejects(within(SOON_MS, 'what is inside', inner), { code: 'ERR_CASK_DEADLOCK', retryable: false })
  assert.equal(wasPending, false)
  await within(SOON_MS, 'the other one', first)
})
