import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { withCask } from 'baileys-cask'
import { open } from './helpers/casks.mjs'
import { standing } from './helpers/locks.mjs'
import { socketOn } from './helpers/socket-keys.mjs'

const HERE = /with-cask-stacks\.spec\.mjs/

describe('a call of a socket outside of transactions that waits carries the stack of its caller', () => {
  for (const whose of ['socket', 'repository']) for (const what of whose === 'socket' ? ['set', 'clear'] : ['set']) test(`${what} of the ${whose}`, async t => {
    const cask = await open(t)
    const { keys } = cask.account()
    const { socket, repository } = socketOn(withCask, keys)
    const holder = standing(work => keys.transaction(work), tx => tx.set({ session: { a: 1 } }))
    await holder.entered
    const waiting = { socket, repository }[whose][what](what === 'set' ? { session: { a: 2 } } : undefined)
    const stacks = cask.locks().flatMap(({ waiters }) => waiters.map(({ stack }) => stack))
    assert.equal(stacks.length, 1)
    assert.match(stacks[0] ?? '', HERE)
    await holder.end()
    await waiting
  })
})
