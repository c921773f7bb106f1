// What a socket still waits for when it has ended holds up nobody.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import * as baileys from 'baileys'
import { open } from './helpers/casks.mjs'
import { within } from './helpers/gate.mjs'
import { openOnCask } from './loopback/casks.mjs'
import { makeAccount } from './loopback/accounts.mjs'
import { neverCached, openSocket } from './loopback/sockets.mjs'
import { startServer } from './loopback/server.mjs'

const ADA = { jid: '15550100001:1@s.whatsapp.net', name: 'Ada' }
const BEN = { jid: '15550100002:1@s.whatsapp.net', name: 'Ben' }
const SOON_MS = 10_000

/** A socket that ends while a message of its is on the way, of which the server does not hear. */
async function endedWhileSending(t) {
  const server = await startServer(t)
  const cask = await open(t)
  const options = { cask, person: ADA, baileys, server, userDevicesCache: neverCached }
  const ada = await openOnCask(t, options)
  const ben = await openSocket(t, { baileys, server, auth: makeAccount(BEN) })
  await ada.send(ben.jid, 'hello')
  await ben.inbox.holds('hello')
  const held = server.hold('usync', { from: ada.jid })
  const sending = ada.send(ben.jid, 'lost')
  await within(SOON_MS, 'the query', held.reached)
  ada.sock.end(undefined)
  await within(SOON_MS, 'the send', assert.rejects(sending, ({ code, cause }) => code === 'ERR_CASK_ABORTED' && cause.message === 'the socket has ended'))
  // Too late.
  held()
  return { cask, ben, options }
}

test('the cask closes at once', async t => {
  const { cask } = await endedWhileSending(t)
  await within(SOON_MS, 'the close', cask.close())
})

test('the next socket of the account sends at once, with the ratchet where it was', async t => {
  const { cask, ben, options } = await endedWhileSending(t)
  assert.deepEqual(cask.locks(), [])
  const again = await openOnCask(t, options)
  await within(SOON_MS, 'the next send', again.send(ben.jid, 'after'))
  await within(SOON_MS, 'the message', ben.inbox.holds('after'))
  assert.deepEqual(ben.inbox.failures, [])
})
