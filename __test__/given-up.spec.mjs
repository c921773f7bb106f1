import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { openCask } from 'baileys-cask'
import { turns, within } from './helpers/gate.mjs'

// What the core keeps cannot be seen from outside; a doomed transaction that it keeps says what has doomed it.
const { binding, port } = createRequire(import.meta.url)('../js/port.js')
const NUMBERS = 1024
const kept = () => Array.from({ length: NUMBERS }, (_, i) => binding.doomedBy(port, i + 1)).filter(code => code).length

const never = () => new Promise(() => {})
const COUNT = 20

describe('work that never ends keeps nothing in the core once its transaction is given up', () => {
  const ENDS = {
    'by timeoutMs': (keys, work) => keys.transaction(work, undefined, { timeoutMs: 20 }),
    'by its signal': (keys, work) => {
      const controller = new AbortController()
      setTimeout(() => controller.abort(), 20)
      return keys.transaction(work, undefined, { signal: controller.signal })
    },
    'by a drop': (keys, work, account) => {
      setTimeout(() => account.drop().catch(() => {}), 20)
      return keys.transaction(work)
    },
  }
  for (const [how, begin] of Object.entries(ENDS)) test(how, async () => {
    const cask = await openCask()
    const account = cask.account()
    const ended = Array.from({ length: COUNT }, (_, i) => begin(account.keys, async tx => {
      await tx.set({ session: { [i]: i } })
      tx.transaction(never).catch(() => {})
      tx.transaction(never, undefined, { nested: 'independent', timeoutMs: 40 }).catch(() => {})
      await never()
    }, account))
    const results = await within(10_000, 'their ends', Promise.allSettled(ended))
    assert.ok(results.every(({ status }) => status === 'rejected'))
    await within(10_000, 'the close', cask.close())
    await turns()
    assert.equal(kept(), 0)
  })
})
