import { test } from 'node:test'
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { openCask } from 'baileys-cask'
import { gate, within } from './helpers/gate.mjs'
import { published } from './helpers/reports.mjs'

const SOON_MS = 10_000
const never = () => new Promise(() => {})

test('what runs inside a doomed transaction is no holder any more, also once its cask is closed', async t => {
  const heard = published(t)
  const cask = await openCask({ stallWarnMs: 400, lockTimeoutMs: 1 })
  const { keys } = cask.account()
  const [held, go] = [gate(), gate()]
  const stranger = keys.transaction(async tx => {
    await tx.set({ session: { b: 1 } })
    await go.opened
  })
  const outer = keys.transaction(async tx => {
    tx.transaction(async inner => {
      await inner.set({ session: { a: 1 } })
      held.open()
      await never()
    }, 'inner').catch(() => {})
    await held.opened
    // Long enough to be seen as a holder.
    await sleep(150)
    await assert.rejects(tx.get('session', ['b']), { code: 'ERR_CASK_LOCK_TIMEOUT' })
    go.open()
    await never()
  }, 'outer')
  outer.catch(() => {})
  await within(SOON_MS, 'the stranger', stranger)
  await within(SOON_MS, 'the cask closes', cask.close())
  // An error here would be nobody's to catch.
  await sleep(600)
  assert.deepEqual(heard.filter(({ label, on }) => label === 'inner' && on === 'stall'), [])
})
