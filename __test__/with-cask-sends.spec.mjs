// The socket's own transactions, with network calls inside.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import * as rc14 from 'baileys'
import * as v67 from '@whiskeysockets/baileys'
import { detached } from 'baileys-cask'
import { open } from './helpers/casks.mjs'
import { gate, isPending, within } from './helpers/gate.mjs'
import { makeAccount } from './loopback/accounts.mjs'
import { handedOver, openOnCask, signedIn } from './loopback/casks.mjs'
import { neverCached, openSocket } from './loopback/sockets.mjs'
import { startServer } from './loopback/server.mjs'

const ADA = { jid: '15550100001:1@s.whatsapp.net', name: 'Ada' }
const BEN = { jid: '15550100002:1@s.whatsapp.net', name: 'Ben' }
const CLEO = { jid: '15550100003:7@s.whatsapp.net', name: 'Cleo' }
const GROUP = '120363000000000001@g.us'
const RATCHETS = ['session', 'sender-key', 'identity-key', 'pre-key', 'lid-mapping', 'device-list']
const LOCKED_BY_READS = ['sender-key-memory', 'tctoken', 'app-state-sync-key', 'app-state-sync-version']

/** What is locked, as short texts. */
const locked = cask => cask.locks().map(({ kind, label, type, id }) => (kind === 'label' ? `label ${label}` : `${type} ${id}`)).sort()

describe('the keys of a socket', () => {
  async function setUp(t) {
    const cask = await open(t)
    const ada = handedOver(rc14, await signedIn(cask, ADA))
    return { cask, keys: ada.keys, stored: ada.account.keys }
  }

  /** Two pieces of work that go on when both are at the gate. */
  function meeting() {
    const gates = [gate(), gate()]
    return async n => {
      gates[n].open()
      await gates[1 - n].opened
    }
  }

  test('its transactions lock their label, what they write, and reads of memory, tokens and app state only', async t => {
    const { cask, keys, stored } = await setUp(t)
    for (const family of [...RATCHETS, ...LOCKED_BY_READS]) await stored.set({ [family]: { a: family === 'app-state-sync-key' ? { keyData: Buffer.from([1]) } : [family] } })
    await keys.transaction(async tx => {
      for (const family of RATCHETS) assert.deepEqual(await keys.get(family, ['a']), { a: [family] })
      for (const family of RATCHETS) assert.deepEqual(await tx.get(family, ['a']), { a: [family] })
      assert.deepEqual(locked(cask), ['label send'])
      for (const family of LOCKED_BY_READS) await keys.get(family, ['a'])
      assert.deepEqual(locked(cask), ['label send', ...LOCKED_BY_READS.map(family => `${family} a`)].sort())
      for (const family of RATCHETS) await keys.set({ [family]: { b: [1] } })
      assert.deepEqual(locked(cask), ['label send', ...LOCKED_BY_READS.map(family => `${family} a`), ...RATCHETS.map(family => `${family} b`)].sort())
      assert.deepEqual(await detached(() => keys.get('session', ['b'])), {}, 'staged')
    }, 'send')
    assert.deepEqual(await stored.get('session', ['b']), { b: [1] })
    assert.deepEqual(cask.locks(), [])
  })

  test('one label is one at a time; without a label several run at once and lock none', async t => {
    const { cask, keys } = await setUp(t)
    const { opened, open } = gate()
    const first = keys.transaction(() => opened, 'send')
    const second = keys.transaction(async () => 'second', 'send')
    assert.ok(await isPending(second))
    open()
    assert.deepEqual(await Promise.all([first, second]), [undefined, 'second'])
    const meet = meeting()
    await within(10_000, 'both without a label', Promise.all([0, 1].map(n => keys.transaction(async () => {
      await meet(n)
      assert.deepEqual(locked(cask), [])
    }))))
  })

  test('an inner one is part of the outer, as in Baileys', async t => {
    const { keys, stored } = await setUp(t)
    await assert.rejects(keys.transaction(async () => {
      await keys.transaction(() => keys.set({ tctoken: { a: { n: 1 } } }), 'inner')
      assert.deepEqual(await keys.get('tctoken', ['a']), { a: { n: 1 } })
      throw new Error('the line is cut')
    }, 'outer'), /the line is cut/)
    assert.deepEqual(await stored.get('tctoken', ['a']), {})
  })

  test('of two of them in a circle one fails with ERR_CASK_DEADLOCK, and neither is run again', async t => {
    const { keys, stored } = await setUp(t)
    const meet = meeting()
    let runs = 0
    const send = (n, mine, other) => keys.transaction(async () => {
      runs++
      await keys.set({ tctoken: { [mine]: { n } } })
      await meet(n)
      await keys.set({ tctoken: { [other]: { n } } })
      return n
    }, `send ${n}`)
    const results = await within(10_000, 'both', Promise.allSettled([send(0, 'a', 'b'), send(1, 'b', 'a')]))
    const [failed] = results.filter(({ status }) => status === 'rejected')
    const [{ value }] = results.filter(({ status }) => status === 'fulfilled')
    assert.equal(failed.reason.code, 'ERR_CASK_DEADLOCK')
    assert.equal(failed.reason.retryable, true)
    assert.equal(runs, 2)
    assert.deepEqual(await stored.get('tctoken', ['a', 'b']), { a: { n: value }, b: { n: value } })
  })

  for (const isLast of [true, false]) test(`in a circle with another transaction that one is the victim, the send comes ${isLast ? 'last' : 'first'}`, async t => {
    const { keys, stored } = await setUp(t)
    const meet = meeting()
    const { opened: waits, open: nowWaits } = gate()
    const add = async (n, target, mine, other, label) => target.transaction(async () => {
      await target.set({ tctoken: { [mine]: { n } } })
      await meet(n)
      if ((n === 0) === isLast) await waits
      const waiting = target.set({ tctoken: { [other]: { n } } })
      nowWaits()
      await waiting
      return 'sent'
    }, label)
    const [sent, other] = await within(10_000, 'both', Promise.allSettled([add(0, keys, 'a', 'b', 'send'), add(1, stored, 'b', 'a', 'other')]))
    assert.deepEqual(sent, { status: 'fulfilled', value: 'sent' })
    assert.equal(other.reason?.code, 'ERR_CASK_DEADLOCK')
    assert.equal(other.reason.label, 'other')
  })

  test('creds that are saved inside are saved, whatever becomes of the send', async t => {
    const { keys } = await setUp(t)
    const cask = await open(t)
    const signed = await signedIn(cask, ADA)
    const one = handedOver(rc14, signed)
    await assert.rejects(one.keys.transaction(async () => {
      await one.keys.set({ 'pre-key': { 7: { public: Buffer.alloc(32), private: Buffer.alloc(32) } } })
      one.creds.nextPreKeyId = 8
      await signed.saveCreds()
      throw new Error('the line is cut')
    }, 'send'), /the line is cut/)
    assert.equal((await one.account.loadCreds()).nextPreKeyId, 8)
    assert.ok(!keys.isInTransaction())
  })

  test('its get and set outside are ordinary ones, and a closed cask is told', async t => {
    const { cask, keys, stored } = await setUp(t)
    await keys.set({ session: { a: { n: 1 } }, tctoken: { a: { n: 1 } } })
    assert.deepEqual(await keys.get('session', ['a', 'b']), { a: { n: 1 } })
    const { opened, open } = gate()
    const other = stored.transaction(async tx => {
      await tx.set({ session: { a: { n: 2 } } })
      await opened
    })
    assert.deepEqual(await keys.get('session', ['a']), { a: { n: 1 } })
    const waiting = keys.set({ session: { a: { n: 3 } } })
    assert.ok(await isPending(waiting))
    open()
    await Promise.all([other, waiting])
    assert.deepEqual(await keys.get('session', ['a']), { a: { n: 3 } })
    await cask.close()
    for (const call of [() => keys.get('session', ['a']), () => keys.set({ session: { a: null } }), () => keys.clear(), () => keys.transaction(async () => {}, 'late')]) {
      await assert.rejects(call(), { code: 'ERR_CASK_CLOSED' })
    }
  })
})

for (const [name, baileys] of Object.entries({ '7.0.0-rc14': rc14, '6.7.24': v67 })) describe(`a socket of ${name}`, () => {
  /** Nothing that a message needs is locked; what else a send locks is. */
  function assertFree(cask, what) {
    const held = locked(cask)
    assert.ok(held.length > 0 || baileys === v67, `${what}: the send holds something`)
    assert.deepEqual(held.filter(lock => ['session', 'sender-key', 'identity-key', 'pre-key', 'lid-mapping'].includes(lock.split(' ')[0])), [], what)
  }

  test('no ratchet is locked while the server is waited for', async t => {
    const server = await startServer(t)
    const cask = await open(t)
    const ben = await openSocket(t, { baileys, server, auth: makeAccount(BEN) })
    const cleo = await openSocket(t, { baileys, server, auth: makeAccount(CLEO) })
    const ada = await openOnCask(t, { cask, person: ADA, baileys, server, userDevicesCache: neverCached })
    server.addGroup({ id: GROUP, members: [ada, ben, cleo].map(({ jid }) => jid) })
    const answers = []
    const whileHeld = async (kind, send, meanwhile) => {
      const release = server.hold(kind, { from: ada.jid })
      const sending = send()
      await within(10_000, `a query ${kind}`, release.reached)
      assertFree(cask, kind)
      await meanwhile?.()
      assertFree(cask, kind)
      assert.ok(await isPending(sending))
      release()
      await sending
    }
    const talk = async () => {
      answers.push(`meanwhile ${answers.length}`)
      await ben.send(ada.jid, answers.at(-1))
      await ada.inbox.holds(answers.at(-1))
    }
    await whileHeld('encrypt', () => ada.send(ben.jid, 'new contact'), talk)
    await ben.inbox.holds('new contact')
    await whileHeld('usync', () => ada.send(ben.jid, 'known contact'), talk)
    await whileHeld('encrypt', () => ada.send(GROUP, 'a new contact in a group'), talk)
    await whileHeld('w:g2', () => ada.send(GROUP, 'a known group'), talk)
    await ben.inbox.holds('known contact', 'a new contact in a group', 'a known group')
    await cleo.inbox.holds('a new contact in a group', 'a known group')
    for (const { inbox } of [ada, ben, cleo]) assert.deepEqual(inbox.failures, [])
    assert.deepEqual(cask.locks(), [])
    assert.equal(server.retries(), 0)
  })

  test('sends of two accounts to one contact do not wait for each other\'s network calls', async t => {
    const server = await startServer(t)
    const cask = await open(t)
    const ben = await openSocket(t, { baileys, server, auth: makeAccount(BEN) })
    const [ada, cleo] = [await openOnCask(t, { cask, person: ADA, baileys, server, userDevicesCache: neverCached }), await openOnCask(t, { cask, person: CLEO, baileys, server, userDevicesCache: neverCached })]
    for (const kind of ['encrypt', 'usync']) {
      const release = server.hold(kind, { from: ada.jid })
      const late = ada.send(ben.jid, `late ${kind}`)
      await release.reached
      await within(10_000, 'the other send', cleo.send(ben.jid, `at once ${kind}`))
      await ben.inbox.holds(`at once ${kind}`)
      await ben.send(cleo.jid, `answer ${kind}`)
      await cleo.inbox.holds(`answer ${kind}`)
      assert.ok(await isPending(late))
      release()
      await late
      await ben.inbox.holds(`late ${kind}`)
    }
    for (const { inbox } of [ada, ben, cleo]) assert.deepEqual(inbox.failures, [])
    assert.equal(server.retries(), 0)
  })
})
