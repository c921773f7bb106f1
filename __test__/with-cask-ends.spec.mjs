// What a socket still waits for when it has ended holds up nobody.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import * as baileys from 'baileys'
import { open } from './helpers/casks.mjs'
import { gate, within } from './helpers/gate.mjs'
import { handedOver, openOnCask, signedIn } from './loopback/casks.mjs'
import { makeAccount } from './loopback/accounts.mjs'
import { makePeer, meet, read, write } from './loopback/peers.mjs'
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

describe('a call of the repository that waits for a LID when its socket ends', () => {
  const LOOK_UPS = {
    encryptMessage: { jid: BEN.jid, data: Buffer.from('text') },
    decryptMessage: { jid: BEN.jid, type: 'msg', ciphertext: Buffer.from('text') },
    injectE2ESession: { jid: BEN.jid, session: {} },
  }

  for (const [name, call] of Object.entries(LOOK_UPS)) {
    test(`${name} ends with it, and another socket of the account goes on`, async t => {
      const cask = await open(t)
      const account = await signedIn(cask, ADA)
      const { opened: asked, open: ask } = gate()
      const ended = handedOver(baileys, account, { pnToLID: () => (ask(), new Promise(() => {})) })
      const calling = ended.repository[name](call)
      await within(SOON_MS, 'the query', asked)
      ended.repository.close()
      await within(SOON_MS, 'the call', assert.rejects(calling, { code: 'ERR_CASK_ABORTED', message: 'the socket has ended' }))
      assert.deepEqual(cask.locks(), [])
      // Its look-up would wait for the same answer.
      await within(SOON_MS, 'a later call', assert.rejects(ended.repository[name](call), { code: 'ERR_CASK_ABORTED' }))

      const ada = handedOver(baileys, account, { pnToLID: async () => [] })
      const ben = makePeer(baileys, BEN)
      await within(SOON_MS, 'a session', meet(ada, ben))
      assert.equal(await read(ben, ada, await within(SOON_MS, 'the next message', write(ada, ben, 'after'))), 'after')
      await within(SOON_MS, 'the close', cask.close())
    })
  }
})

test('many transactions of one socket at once are no leak of listeners', async t => {
  const cask = await open(t)
  const { keys } = handedOver(baileys, await signedIn(cask, ADA))
  const warnings = []
  const note = warning => warnings.push(warning.name)
  process.on('warning', note)
  t.after(() => process.off('warning', note))
  const { opened, open: letGo } = gate()
  const all = Array.from({ length: 50 }, (_, i) => keys.transaction(() => opened, `label ${i}`))
  await new Promise(setImmediate)
  letGo()
  await Promise.all(all)
  assert.deepEqual(warnings, [])
})
