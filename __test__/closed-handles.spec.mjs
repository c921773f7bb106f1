import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { AsyncResource } from 'node:async_hooks'
import { openCask } from 'baileys-cask'
import { collect, open, recordsOf } from './helpers/casks.mjs'
import { newPath } from './helpers/folders.mjs'
import { within } from './helpers/gate.mjs'

const CLOSED = { code: 'ERR_CASK_CLOSED' }
/** The core gives an account the number of one that was closed so many closes before. */
const UNTIL_USED_AGAIN = 2048

/**
 * An account of a cask that was closed, with work of a doomed transaction left over, and another account whose number in the core is the same.
 */
async function usedAgain(t) {
  const closed = await openCask()
  const mine = closed.account('mine')
  await mine.keys.set({ session: { mine: 1 } })
  await mine.saveCreds({ of: 'mine' })
  const controller = new AbortController()
  let inside
  const hung = mine.keys.transaction(() => {
    inside = AsyncResource.bind(call => call())
    return new Promise(() => {})
  }, 'label', { signal: controller.signal })
  hung.catch(() => {})
  controller.abort()
  await within(10_000, 'the close', closed.close())
  for (let i = 1; i < UNTIL_USED_AGAIN; i++) {
    const between = await openCask()
    between.account()
    await between.close()
  }
  const cask = await open(t)
  const theirs = cask.account('theirs')
  await theirs.keys.set({ session: { theirs: { secret: 1 } } })
  await theirs.saveCreds({ of: 'theirs' })
  return { mine, inside, theirs }
}

describe('an account of a closed cask is refused, and never taken for another one', () => {
  test('whatever is asked of it', async t => {
    const { mine, inside, theirs } = await usedAgain(t)
    await assert.rejects(mine.keys.get('session', ['theirs']), CLOSED)
    await assert.rejects(collect(mine.keys.list('session')), CLOSED)
    await assert.rejects(collect(mine.keys.listIds('session')), CLOSED)
    await assert.rejects(mine.loadCreds(), CLOSED)
    // Work that was given up may go on for as long as it likes.
    await assert.rejects(inside(() => mine.loadCreds()), CLOSED)
    await assert.rejects(inside(() => mine.saveCreds({ of: 'nobody' })), CLOSED)
    assert.deepEqual(await theirs.loadCreds(), { of: 'theirs' })
    assert.deepEqual(await recordsOf(theirs.keys, 'session'), [['theirs', { secret: 1 }]])
  })

  test('also in the middle of a list', async t => {
    const cask = await openCask()
    const { keys } = cask.account()
    await keys.set({ session: { a: 1, b: 2 } })
    const list = keys.list('session')
    await list.next()
    await cask.close()
    await assert.rejects(list.next(), CLOSED)
  })
})

test('the refusal says which cask was closed', async t => {
  const path = newPath(t)
  const [inFolder, inMemory] = [await open(t, { path }), await open(t)]
  for (const [cask, facts] of [[inFolder, { path, message: new RegExp(`the cask ${path} is closed`) }], [inMemory, { message: /^the cask is closed/ }]]) {
    const { keys } = cask.account()
    await cask.close()
    await assert.rejects(keys.get('session', ['a']), { ...CLOSED, ...facts })
    assert.throws(() => cask.account(), { ...CLOSED, ...facts })
  }
})
