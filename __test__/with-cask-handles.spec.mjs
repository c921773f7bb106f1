import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import * as here from 'baileys-cask'
import { afterwards } from './helpers/cleanup.mjs'
import { loadAgain } from './helpers/copies.mjs'
import { gate, isPending, turns, within } from './helpers/gate.mjs'
import { socketOn } from './helpers/socket-keys.mjs'

const SOON_MS = 10_000
const soon = (what, promise) => within(SOON_MS, what, promise)

const OTHERS = {
  'another handle of the store': () => here,
  'another copy of the package': loadAgain,
}

for (const [what, load] of Object.entries(OTHERS)) {
  describe(`a socket on ${what} than the transaction around it`, () => {
    let names = 0
    async function opened(t) {
      const copy = load()
      const name = `with-cask-handles ${what} ${names++}`
      const casks = [await here.openCask({ name }), await copy.openCask({ name })]
      for (const cask of casks) afterwards(t, () => cask.close())
      const [mine, theirs] = casks.map(cask => cask.account().keys)
      // So that the first number of a transaction means something else there.
      const busy = gate()
      const other = casks[1].account('other').keys.transaction(() => busy.opened)
      afterwards(t, () => (busy.open(), other))
      return { keys: mine, ...socketOn(copy.withCask, theirs) }
    }

    test('is a part of it: it is waited for, and its writes are committed with it', async t => {
      const { keys, socket } = await opened(t)
      const [inside, leave] = [gate(), gate()]
      let sending
      const whole = keys.transaction(async () => {
        sending = socket.transaction(async () => {
          inside.open()
          await leave.opened
          await socket.set({ session: { a: 1 } })
        }, 'me')
        sending.catch(() => {})
        await inside.opened
      })
      await soon('its work', inside.opened)
      assert.ok(await isPending(whole))
      leave.open()
      await soon('both', Promise.all([whole, sending]))
      assert.deepEqual(await keys.get('session', ['a']), { a: 1 })
    })

    test('is undone with it, but for what its repository has stored', async t => {
      const { keys, socket, repository } = await opened(t)
      await assert.rejects(soon('its end', keys.transaction(async () => {
        await socket.transaction(() => socket.set({ other: { sent: 1 } }), 'me')
        await repository.transaction(() => repository.set({ session: { a: 1 } }), 'a.0')
        await repository.set({ session: { b: 2 } })
        throw new Error('mine')
      })), /mine/)
      assert.deepEqual([await keys.get('session', ['a', 'b']), await keys.get('other', ['sent'])], [{ a: 1, b: 2 }, {}])
    })

    test('a repository that touches what is staged around it joins', async t => {
      const { keys, repository } = await opened(t)
      await keys.transaction(async tx => {
        await tx.set({ session: { a: 1 } })
        await repository.transaction(async inner => {
          assert.deepEqual(await inner.get('session', ['a']), { a: 1 })
          assert.equal(inner.joined, true)
        }, 'a.0')
      })
    })

    test('is given up with it', async t => {
      const { keys, socket } = await opened(t)
      const controller = new AbortController()
      let sending
      const whole = keys.transaction(async () => {
        sending = socket.transaction(() => new Promise(() => {}), 'me')
        sending.catch(() => {})
        await sending
      }, undefined, { signal: controller.signal })
      whole.catch(() => {})
      await turns()
      controller.abort()
      for (const ended of [whole, sending]) await assert.rejects(soon('its end', ended), { code: 'ERR_CASK_ABORTED' })
    })
  })
}
