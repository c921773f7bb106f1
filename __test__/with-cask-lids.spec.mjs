// The repository of 7.0 stores sessions under LIDs, and asks the server for those that it does not know.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import * as baileys from 'baileys'
import { detached } from 'baileys-cask'
import { open } from './helpers/casks.mjs'
import { afterwards } from './helpers/cleanup.mjs'
import { gate, isPending, within } from './helpers/gate.mjs'
import { handedOver, signedIn } from './loopback/casks.mjs'
import { quietLibsignal } from './loopback/console.mjs'
import { befriend, bundleOf, makePeer, meet, read, write } from './loopback/peers.mjs'

const ADA = { jid: '15550100001:1@s.whatsapp.net', name: 'Ada' }
const BEN = { jid: '15550100002:1@s.whatsapp.net', name: 'Ben' }
const CLEO = { jid: '15550100003:7@s.whatsapp.net', name: 'Cleo' }
const LIDS = { '15550100002@s.whatsapp.net': '100000000000002@lid' }

/** Ada, and a server that knows the LID of Ben once it is let go on. */
async function setUp(t, { lids = LIDS, isHeld = false } = {}) {
  afterwards(t, quietLibsignal())
  const cask = await open(t)
  const server = { asked: [], isHeld, ...gate() }
  const { opened: reached, open: reach } = gate()
  const pnToLID = async pns => {
    server.asked.push(pns)
    reach()
    if (server.isHeld) await server.opened
    await server.meanwhile?.()
    if (server.failure) throw server.failure
    return pns.filter(pn => lids[pn]).map(pn => ({ pn, lid: lids[pn] }))
  }
  const ada = handedOver(baileys, await signedIn(cask, ADA), { pnToLID })
  return { cask, ada, stored: ada.account.keys, ben: makePeer(baileys, BEN), server: Object.assign(server, { reached }) }
}

const locked = cask => cask.locks().map(({ kind, label, type, id }) => (kind === 'label' ? `label ${label}` : `${type} ${id}`)).sort()
const exists = async (keys, id) => (await keys.get('session', [id]))[id] !== undefined

describe('LIDs', () => {
  test('two misses on one LID at once: nothing rejects, and everybody gets it', async t => {
    const { cask, ada, ben, stored, server } = await setUp(t, { isHeld: true })
    const other = makePeer(baileys, { ...BEN, jid: BEN.jid.replace(':1', ':2') })
    const { lidMapping } = ada.repository
    const meeting = [ben, other].map(peer => meet(ada, peer))
    const inSend = detached(() => ada.keys.transaction(() => lidMapping.getLIDForPN(BEN.jid), 'send'))
    const outside = [lidMapping.getLIDForPN(BEN.jid), lidMapping.getLIDsForPNs([BEN.jid, other.jid])]
    await server.reached
    assert.ok(await isPending(Promise.race([...meeting, inSend, ...outside])))
    server.open()
    await within(10_000, 'both sessions', Promise.all(meeting))
    const lid = '100000000000002:1@lid'
    assert.deepEqual(await Promise.all([inSend, ...outside]), [lid, lid, [{ lid, pn: BEN.jid }, { lid: lid.replace(':1', ':2'), pn: other.jid }]])
    for (const [device, peer] of [[1, ben], [2, other]]) {
      assert.ok(await exists(stored, `100000000000002_1.${device}`))
      assert.ok(!await exists(stored, `15550100002.${device}`))
      assert.equal(await read(peer, ada, await write(ada, peer, 'text')), 'text')
    }
    assert.deepEqual(await stored.get('lid-mapping', ['15550100002', '100000000000002_reverse']), { 15550100002: '100000000000002', '100000000000002_reverse': '15550100002' })
    assert.deepEqual(cask.locks(), [])
  })

  test('while the server is asked no record is locked, and other contacts are written to', async t => {
    const { cask, ada, ben, stored, server } = await setUp(t)
    const cleo = makePeer(baileys, CLEO)
    await befriend(ada, cleo)
    server.isHeld = true
    const sending = ada.keys.transaction(() => meet(ada, ben), 'send')
    await server.reached
    assert.ok(await isPending(sending))
    assert.deepEqual(locked(cask), [`label ${BEN.jid}`, 'label send'])
    server.isHeld = false
    assert.equal(await read(cleo, ada, await within(10_000, 'another contact', write(ada, cleo, 'meanwhile'))), 'meanwhile')
    const answer = await write(cleo, ada, 'answer')
    assert.equal(await read(ada, cleo, answer), 'answer')
    assert.ok(await isPending(sending))
    server.open()
    await sending
    assert.ok(await exists(stored, '100000000000002_1.1'))
  })

  test('one call asks once, though there is no LID', async t => {
    const { ada, ben, stored, server } = await setUp(t, { lids: {} })
    await befriend(ada, ben)
    server.asked.length = 0
    assert.equal(await read(ben, ada, await write(ada, ben, 'text')), 'text')
    assert.deepEqual(server.asked, [['15550100002@s.whatsapp.net']])
    await ada.repository.validateSession(BEN.jid)
    assert.equal(server.asked.length, 2, 'nothing is kept beyond the call')
    assert.ok(await exists(stored, '15550100002.1'))
  })

  test('a look-up that fails is told, and loses no session', async t => {
    const { cask, ada, ben, stored, server } = await setUp(t, { lids: {} })
    await befriend(ada, ben)
    const before = await stored.get('session', ['15550100002.1'])
    const answer = await write(ben, ada, 'answer')
    server.failure = new Error('Connection Closed')
    for (const call of [() => write(ada, ben, 'text'), () => read(ada, ben, answer), async () => ada.repository.injectE2ESession({ jid: BEN.jid, session: await bundleOf(ben) })]) {
      await assert.rejects(call(), /Connection Closed/)
    }
    assert.deepEqual(await stored.get('session', ['15550100002.1']), before)
    assert.deepEqual(cask.locks(), [])
    server.failure = undefined
    assert.equal(await read(ada, ben, answer), 'answer')
  })

  test('who answers for the server may use the keys of the account meanwhile', async t => {
    const { ada, ben, stored, server } = await setUp(t)
    server.meanwhile = async () => {
      await stored.set({ other: { a: 1 } })
      await stored.transaction(tx => tx.set({ other: { b: 1 } }), 'label')
    }
    await ada.repository.validateSession(BEN.jid)
    assert.deepEqual(await stored.get('other', ['a', 'b']), { a: 1, b: 1 })
    await ada.keys.transaction(() => meet(ada, ben), 'send')
    assert.equal(await read(ben, ada, await write(ada, ben, 'text')), 'text')
  })

  test('a mapping that was learned in a send stays when the send fails', async t => {
    const { ada, ben, stored } = await setUp(t)
    await assert.rejects(ada.keys.transaction(async () => {
      await ada.repository.lidMapping.storeLIDPNMappings([{ lid: '100000000000002@lid', pn: '15550100002@s.whatsapp.net' }])
      await meet(ada, ben)
      throw new Error('the line is cut')
    }, 'send'), /the line is cut/)
    assert.deepEqual(await stored.get('lid-mapping', ['15550100002']), { 15550100002: '100000000000002' })
    assert.ok(await exists(stored, '100000000000002_1.1'))
    assert.equal(await read(ben, ada, await write(ada, ben, 'text')), 'text')
  })

  test('sessions move to a LID that becomes known, and both names lead to the one ratchet', async t => {
    const lids = {}
    const { ada, ben, stored } = await setUp(t, { lids })
    await befriend(ada, ben)
    Object.assign(lids, LIDS)
    await stored.set({ 'device-list': { 15550100002: ['1'] } })
    await ada.repository.lidMapping.storeLIDPNMappings([{ lid: '100000000000002@lid', pn: '15550100002@s.whatsapp.net' }])
    const moved = await ada.repository.migrateSession(BEN.jid, '100000000000002:1@lid')
    assert.deepEqual(moved, { migrated: 1, skipped: 0, total: 1 })
    const messages = await Promise.all([1, 2, 3].map(n => ada.repository.encryptMessage({ jid: n === 2 ? BEN.jid : '100000000000002:1@lid', data: Buffer.from(`text ${n}`) })))
    for (const [n, message] of messages.entries()) assert.equal(await read(ben, ada, message), `text ${n + 1}`)
    assert.ok(!await exists(stored, '15550100002.1'))
    await ada.repository.deleteSession(['100000000000002:1@lid'])
    assert.deepEqual(await ada.repository.validateSession(BEN.jid), { exists: false, reason: 'no session' })
  })
})
