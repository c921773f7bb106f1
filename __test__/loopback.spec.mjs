// What tests of whole sockets stand on: unchanged Baileys sockets that talk through a server of our own.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import * as rc14 from 'baileys'
import * as v67 from '@whiskeysockets/baileys'
import { isPending, until } from './helpers/gate.mjs'
import { keysInMemory, makeAccount } from './loopback/accounts.mjs'
import { neverCached, openSocket } from './loopback/sockets.mjs'
import { startServer } from './loopback/server.mjs'

const PEOPLE = {
  ada: { jid: '15550100001:1@s.whatsapp.net', name: 'Ada' },
  ben: { jid: '15550100002:1@s.whatsapp.net', name: 'Ben' },
  cleo: { jid: '15550100003:7@s.whatsapp.net', name: 'Cleo' },
}
const GROUP = '120363000000000001@g.us'
const NUMBERS = Array.from({ length: 10 }, (_, n) => n)

/** Opens a socket for each name; `versions` by name. */
async function openAll(t, server, versions, config) {
  const clients = {}
  for (const [name, baileys] of Object.entries(versions)) {
    clients[name] = await openSocket(t, { baileys, server, auth: makeAccount(PEOPLE[name]), ...config })
  }
  return clients
}

function assertAllRead(server, ...clients) {
  assert.equal(server.retries(), 0)
  for (const { inbox } of clients) assert.deepEqual(inbox.failures, [])
}

const PAIRS = {
  '7.0.0-rc14': { ada: rc14, ben: rc14 },
  '6.7.24': { ada: v67, ben: v67 },
  '7.0.0-rc14 and 6.7.24': { ada: rc14, ben: v67 },
}

for (const [name, versions] of Object.entries(PAIRS)) describe(name, () => {
  test('two accounts read everything the other writes, in turn and at once', async t => {
    const server = await startServer(t)
    const { ada, ben } = await openAll(t, server, versions)
    for (const n of NUMBERS) {
      await ada.send(ben.jid, `from Ada ${n}`)
      await ben.inbox.holds(`from Ada ${n}`)
      await ben.send(ada.jid, `from Ben ${n}`)
      await ada.inbox.holds(`from Ben ${n}`)
    }
    const texts = from => NUMBERS.map(n => `from ${from} at once ${n}`)
    await Promise.all([
      ...texts('Ada').map(text => ada.send(ben.jid, text)),
      ...texts('Ben').map(text => ben.send(ada.jid, text)),
    ])
    await ben.inbox.holds(...texts('Ada'))
    await ada.inbox.holds(...texts('Ben'))
    assert.equal(ada.inbox.messages.length, 20)
    assert.equal(ben.inbox.messages.length, 20)
    assert.equal(ada.inbox.messages[0].chat, ben.jid)
    assertAllRead(server, ada, ben)
  })

  test('a second connection goes on where the first ended, and gets what came between', async t => {
    const server = await startServer(t)
    const { ada } = await openAll(t, server, { ada: versions.ada })
    const auth = makeAccount(PEOPLE.ben)
    const first = await openSocket(t, { baileys: versions.ben, server, auth })
    await ada.send(first.jid, 'before')
    await first.inbox.holds('before')
    await server.disconnect(first.deviceJid)
    await first.closed
    await ada.send(first.jid, 'between')
    const second = await openSocket(t, { baileys: versions.ben, server, auth })
    await second.inbox.holds('between')
    await second.send(ada.jid, 'after')
    await ada.inbox.holds('after')
    assert.deepEqual(second.inbox.texts, ['between'])
    assert.equal(server.seen('encrypt upload', { from: second.jid }).length, 1)
    assertAllRead(server, ada, first, second)
  })

  test('a peer that has lost its session asks for a retry, and reads the answer', async t => {
    const server = await startServer(t)
    const { ada } = await openAll(t, server, { ada: versions.ada })
    const keys = keysInMemory()
    const forgetful = { get: async (family, ids) => (family === 'session' && forgetful.forgets ? {} : keys.get(family, ids)), set: keys.set }
    const { creds } = makeAccount(PEOPLE.ben)
    const ben = await openSocket(t, { baileys: versions.ben, server, auth: { creds, keys: forgetful } })
    await ada.send(ben.jid, 'one')
    await ben.inbox.holds('one')
    await ben.send(ada.jid, 'two')
    await ada.inbox.holds('two')
    forgetful.forgets = true
    await ada.send(ben.jid, 'three')
    await until('asking for a retry', () => server.retries({ from: ben.jid }) === 1)
    forgetful.forgets = false
    await ben.inbox.holds('three')
    assert.equal(ben.inbox.failures.length, 1)
    assert.equal(server.retries({ from: ada.jid }), 0)
  })

  for (const addressing of ['pn', 'lid']) test(`a group of three, members named by ${addressing}`, async t => {
    const server = await startServer(t)
    const clients = await openAll(t, server, { ...versions, cleo: versions.ada })
    server.addGroup({ id: GROUP, members: Object.values(clients).map(({ jid }) => jid), addressing })
    for (const round of [1, 2]) {
      for (const [name, writer] of Object.entries(clients)) {
        const text = `${name} to all, ${round}`
        await writer.send(GROUP, text)
        for (const reader of Object.values(clients)) if (reader !== writer) await reader.inbox.holds(text)
      }
    }
    for (const { inbox } of Object.values(clients)) {
      assert.equal(inbox.messages.length, 4)
      assert.ok(inbox.messages.every(({ chat }) => chat === GROUP))
    }
    assertAllRead(server, ...Object.values(clients))
  })

  test('a send waits for the keys that the server holds back, while its peer writes', async t => {
    const server = await startServer(t)
    const { ada, ben, cleo } = await openAll(t, server, { ...versions, cleo: versions.ben })
    await ada.send(ben.jid, 'first')
    await ben.inbox.holds('first')
    const release = server.hold('encrypt', { from: ada.jid })
    const sending = ada.send(cleo.jid, 'held')
    await release.reached
    assert.ok(await isPending(sending))
    assert.equal(release.count, 1)
    await ben.send(ada.jid, 'meanwhile')
    await ada.inbox.holds('meanwhile')
    await cleo.send(ada.jid, 'from the one that is written to')
    await ada.inbox.holds('from the one that is written to')
    assert.ok(await isPending(sending))
    assert.deepEqual(cleo.inbox.texts, [])
    release()
    await sending
    await cleo.inbox.holds('held')
    assertAllRead(server, ada, ben, cleo)
  })

  test('without a cache every send asks for devices, and waits for them', async t => {
    const server = await startServer(t)
    const { ada, ben } = await openAll(t, server, versions, { userDevicesCache: neverCached })
    for (const n of NUMBERS.slice(0, 3)) {
      const release = server.hold('usync', { from: ada.jid })
      const sending = ada.send(ben.jid, `held ${n}`)
      await release.reached
      await ben.send(ada.jid, `meanwhile ${n}`)
      await ada.inbox.holds(`meanwhile ${n}`)
      assert.ok(await isPending(sending))
      release()
      await sending
      await ben.inbox.holds(`held ${n}`)
    }
    assertAllRead(server, ada, ben)
  })

  test('a message is encrypted for every device, online or not', async t => {
    const server = await startServer(t)
    const { ada, ben } = await openAll(t, server, versions)
    server.addSilentDevice('15550100002:2@s.whatsapp.net')
    await ada.send(ben.jid, 'to all of them')
    await ben.inbox.holds('to all of them')
    const [{ content }] = server.seen('message')
    const devices = content.find(({ tag }) => tag === 'participants').content
      .map(({ attrs }) => rc14.jidDecode(attrs.jid)).map(({ user, device = 0 }) => `${user}:${device}`).sort()
    assert.deepEqual(devices, ['15550100001:0', '15550100002:0', '15550100002:1', '15550100002:2'])
    assertAllRead(server, ada, ben)
  })
})
