// Whole sockets on casks: everything that is sent is read, whatever happens at once.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import * as rc14 from 'baileys'
import * as v67 from '@whiskeysockets/baileys'
import { open } from './helpers/casks.mjs'
import { newPath } from './helpers/folders.mjs'
import { until, within } from './helpers/gate.mjs'
import { makeAccount } from './loopback/accounts.mjs'
import { openOnCask } from './loopback/casks.mjs'
import { neverCached, openSocket } from './loopback/sockets.mjs'
import { startServer } from './loopback/server.mjs'

const ADA = { jid: '15550100001:1@s.whatsapp.net', name: 'Ada' }
const BEN = { jid: '15550100002:1@s.whatsapp.net', name: 'Ben' }
const CLEO = { jid: '15550100003:7@s.whatsapp.net', name: 'Cleo' }
const GROUP = '120363000000000001@g.us'
const ROUNDS = 100
/** What a decrypt may wait, beyond what it takes by itself. */
const A_FEW_MS = 8

const numbers = count => Array.from({ length: count }, (_, n) => n)
const median = values => values.sort((a, b) => a - b)[values.length >> 1]

/** Nothing failed, nothing was asked for again, nothing is left locked. */
function assertAllRead(server, casks, clients) {
  for (const { inbox, jid } of clients) assert.deepEqual(inbox.failures, [], jid)
  assert.equal(server.retries(), 0)
  for (const cask of casks) assert.deepEqual(cask.locks(), [])
}

for (const [name, baileys] of Object.entries({ '7.0.0-rc14': rc14, '6.7.24': v67 })) describe(name, () => {
  /** How long each call of a repository's method took. */
  function timed({ sock: { signalRepository } }, method) {
    const times = []
    const original = signalRepository[method]
    signalRepository[method] = async call => {
      const start = performance.now()
      try {
        return await original(call)
      } finally {
        times.push(performance.now() - start)
      }
    }
    return times
  }

  test(`${ROUNDS} sends, each slow, while the one that is written to writes`, async t => {
    const server = await startServer(t)
    const cask = await open(t)
    const ada = await openOnCask(t, { cask, person: ADA, baileys, server, userDevicesCache: neverCached })
    const ben = await openSocket(t, { baileys, server, auth: makeAccount(BEN) })
    await ada.send(ben.jid, 'hello')
    await ben.inbox.holds('hello')
    const [times, timesAlone] = [ada, ben].map(one => timed(one, 'decryptMessage'))
    for (const n of numbers(ROUNDS)) {
      const release = server.hold('usync', { from: ada.jid })
      const sending = ada.send(ben.jid, `from Ada ${n}`)
      await within(10_000, 'the query', release.reached)
      const answering = ben.send(ada.jid, `from Ben ${n}`)
      // Now it comes while the send waits for the server, now while the send encrypts.
      if (n % 2 === 0) await ada.inbox.holds(`from Ben ${n}`)
      release()
      await Promise.all([sending, answering])
    }
    await ada.inbox.holds(...numbers(ROUNDS).map(n => `from Ben ${n}`))
    await ben.inbox.holds(...numbers(ROUNDS).map(n => `from Ada ${n}`))
    assertAllRead(server, [cask], [ada, ben])
    assert.ok(median(times) < median(timesAlone) + A_FEW_MS, `a decrypt took ${median(times)} ms; where nothing else goes on, ${median(timesAlone)} ms`)
  })

  test('twenty messages to and fro at once, between two casks in folders', async t => {
    const server = await startServer(t)
    const casks = [await open(t, { path: newPath(t) }), await open(t, { path: newPath(t), durability: 'power' })]
    const ada = await openOnCask(t, { cask: casks[0], person: ADA, baileys, server })
    const ben = await openOnCask(t, { cask: casks[1], person: BEN, baileys, server })
    await ada.send(ben.jid, 'hello')
    await ben.inbox.holds('hello')
    const texts = who => numbers(20).map(n => `from ${who} ${n}`)
    await Promise.all([...texts('Ada').map(text => ada.send(ben.jid, text)), ...texts('Ben').map(text => ben.send(ada.jid, text))])
    await ada.inbox.holds(...texts('Ben'))
    await ben.inbox.holds(...texts('Ada'))
    assertAllRead(server, casks, [ada, ben])
  })

  test('a contact is answered while it writes', async t => {
    const server = await startServer(t)
    const cask = await open(t)
    const ada = await openOnCask(t, { cask, person: ADA, baileys, server, userDevicesCache: neverCached })
    const ben = await openSocket(t, { baileys, server, auth: makeAccount(BEN) })
    const replies = []
    ada.sock.ev.on('messages.upsert', ({ messages }) => {
      for (const { key, message } of messages) {
        const text = message?.conversation || message?.extendedTextMessage?.text
        if (!key.fromMe && text) replies.push(ada.send(key.remoteJid, `to ${text}`))
      }
    })
    await Promise.all(numbers(20).map(n => ben.send(ada.jid, `text ${n}`)))
    await ben.inbox.holds(...numbers(20).map(n => `to text ${n}`))
    await Promise.all(replies)
    assert.equal(replies.length, 20)
    assertAllRead(server, [cask], [ada, ben])
  })

  for (const isAdaFirst of [true, false]) test(`three devices of a new contact at once, ${isAdaFirst ? 'to them and then from' : 'from them and then to'} them`, async t => {
    const server = await startServer(t)
    const cask = await open(t)
    const ada = await openOnCask(t, { cask, person: ADA, baileys, server })
    const devices = []
    for (const device of [1, 2, 3]) {
      const person = { jid: `15550100002:${device}@s.whatsapp.net`, name: `Ben ${device}` }
      devices.push(await openSocket(t, { baileys, server, auth: makeAccount(person) }))
    }
    const toThem = async () => {
      await Promise.all(numbers(5).map(n => ada.send(devices[0].jid, `to them ${n}`)))
      for (const { inbox } of devices) await inbox.holds(...numbers(5).map(n => `to them ${n}`))
    }
    const fromThem = async () => {
      await Promise.all(devices.map((device, n) => device.send(ada.jid, `from ${n}`)))
      await ada.inbox.holds('from 0', 'from 1', 'from 2')
    }
    for (const talk of isAdaFirst ? [toThem, fromThem] : [fromThem, toThem]) await talk()
    assertAllRead(server, [cask], [ada, ...devices])
  })

  test('three accounts of one cask write to a group and to each other at once', async t => {
    const server = await startServer(t)
    const cask = await open(t)
    const clients = []
    for (const person of [ADA, BEN, CLEO]) clients.push(await openOnCask(t, { cask, person, baileys, server }))
    server.addGroup({ id: GROUP, members: clients.map(({ jid }) => jid), addressing: baileys === rc14 ? 'lid' : 'pn' })
    const text = (client, to, n) => `${client.jid} to ${to}, ${n}`
    for (const client of clients) await client.send(GROUP, text(client, GROUP, 'first'))
    const sends = clients.flatMap(client => [GROUP, ...clients.filter(other => other !== client).map(({ jid }) => jid)].flatMap(to =>
      numbers(5).map(n => client.send(to, text(client, to, n)))))
    await within(30_000, 'all sends', Promise.all(sends))
    for (const reader of clients) {
      for (const writer of clients) {
        if (writer !== reader) await reader.inbox.holds(text(writer, GROUP, 'first'), ...numbers(5).flatMap(n => [text(writer, GROUP, n), text(writer, reader.jid, n)]))
      }
    }
    assertAllRead(server, [cask], clients)
  })

  test('a socket in the place of another goes on with the same ratchets', async t => {
    const server = await startServer(t)
    const cask = await open(t)
    const ben = await openSocket(t, { baileys, server, auth: makeAccount(BEN) })
    for (const n of numbers(4)) {
      const ada = await openOnCask(t, { cask, person: ADA, baileys, server })
      // Who does not know the other yet begins no session at once with them: that is more than libsignal can do.
      if (n === 0) await ada.send(ben.jid, 'hello').then(() => ben.inbox.holds('hello'))
      const [, id] = await Promise.all([ada.send(ben.jid, `from ${n}`), ben.send(ada.jid, `to ${n}`)])
      await Promise.all([ben.inbox.holds(`from ${n}`), ada.inbox.holds(`to ${n}`)])
      // What it has not confirmed is sent again to the next.
      await until('a receipt', () => server.seen('receipt', { from: ada.jid }).some(({ attrs }) => attrs.id === id))
      await ada.close()
      assertAllRead(server, [], [ada, ben])
    }
    await until('everything ends', () => cask.locks().length === 0)
  })
})
