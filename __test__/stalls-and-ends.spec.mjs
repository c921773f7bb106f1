import { test } from 'node:test'
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { openCask } from 'baileys-cask'
import { open } from './helpers/casks.mjs'
import { gate, until, within } from './helpers/gate.mjs'
import { keepingLogger, published } from './helpers/reports.mjs'

const SOON_MS = 10_000
const never = () => new Promise(() => {})

test('what runs inside a doomed transaction is no holder any more, also once its cask is closed', async t => {
  const heard = published(t)
  const cask = await openCask({ stallWarnMs: 1500, lockTimeoutMs: 1 })
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
    await sleep(400)
    await assert.rejects(tx.get('session', ['b']), { code: 'ERR_CASK_LOCK_TIMEOUT' })
    go.open()
    await never()
  }, 'outer')
  outer.catch(() => {})
  await within(SOON_MS, 'the stranger', stranger)
  await within(SOON_MS, 'the cask closes', cask.close())
  // An error here would be nobody's to catch.
  await sleep(1600)
  assert.deepEqual(heard.filter(({ label, on }) => label === 'inner' && on === 'stall'), [])
})

test('what ends because another one is reported is not reported after its end', async t => {
  const heard = published(t)
  const { logger } = keepingLogger()
  const controllers = [new AbortController(), new AbortController()]
  logger.warn = (_, words) => {
    if (!/has held locks/.test(words)) return
    controllers.forEach(controller => controller.abort())
    // Its end lets the aborted wait be told at once.
    keys.transaction(() => {}).catch(() => {})
  }
  const cask = await open(t, { stallWarnMs: 40, logger })
  const { keys } = cask.account()
  const transactions = ['one', 'two'].map((label, i) => keys.transaction(never, label, { signal: controllers[i].signal }))
  const waiter = keys.transaction(never, 'one', { signal: controllers[0].signal })
  for (const ended of [...transactions, waiter]) await assert.rejects(within(SOON_MS, 'the end', ended), { code: 'ERR_CASK_ABORTED' })
  await until('the report', () => heard.some(({ on }) => on === 'stall'))
  await sleep(200)
  assert.deepEqual(heard.filter(({ on }) => on === 'stall').map(({ role }) => role), ['holder'])
  assert.deepEqual(heard.filter(({ on }) => on === 'stall-end').map(({ role }) => role), ['holder'])
})
