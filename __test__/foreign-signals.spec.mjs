import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { open } from './helpers/casks.mjs'

const timers = () => process.getActiveResourcesInfo().filter(name => name === 'Timeout').length
const LONG_MS = 60_000

describe('a signal of somebody\'s own', () => {
  const failure = new Error('mine')
  const SIGNALS = {
    'that lets nobody listen': [{ addEventListener: () => { throw failure } }, error => error === failure],
    'that is aborted while it is listened to': [{ addEventListener: (_, abort) => abort() }, { code: 'ERR_CASK_ABORTED' }],
  }
  for (const [what, [methods, expected]] of Object.entries(SIGNALS)) test(`${what}: the transaction rejects, and nothing of it goes on`, async t => {
    const cask = await open(t, { stallWarnMs: 0, transactionTimeoutMs: 0 })
    const { keys } = cask.account()
    const removed = []
    const signal = { aborted: false, removeEventListener: name => removed.push(name), ...methods }
    // The first transaction of a thread begins to watch.
    await keys.transaction(() => {})
    const before = timers()
    await assert.rejects(keys.transaction(() => assert.fail('its work began'), 'label', { signal, timeoutMs: LONG_MS }), expected)
    assert.equal(timers(), before)
    assert.deepEqual(removed, ['abort'])
    assert.deepEqual(cask.locks(), [])
    await keys.transaction(() => {}, 'label')
  })
})
