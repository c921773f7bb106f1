// libsignal queues its work by Signal address, for all accounts of a thread at once, and runs what is queued in the async context of
// whoever came first.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import * as rc14 from 'baileys'
import * as v67 from '@whiskeysockets/baileys'
import { detached } from 'baileys-cask'
import { collect, open } from './helpers/casks.mjs'
import { gate, isPending, turns, within } from './helpers/gate.mjs'
import { afterwards } from './helpers/cleanup.mjs'
import { handedOver, signedIn } from './loopback/casks.mjs'
import { quietLibsignal } from './loopback/console.mjs'
import { befriend, bundleOf, makePeer, meet, read, readFromGroup, write, writeToGroup } from './loopback/peers.mjs'

const ADA = { jid: '15550100001:1@s.whatsapp.net', name: 'Ada' }
const BEN = { jid: '15550100002:1@s.whatsapp.net', name: 'Ben' }
const CLEO = { jid: '15550100003:7@s.whatsapp.net', name: 'Cleo' }
const BEN_ADDRESS = '15550100002.1'
const GROUP = '120363000000000001@g.us'
const NUMBERS = Array.from({ length: 20 }, (_, n) => n)

/** Somebody with a plain store in the same queue: what libsignal reads for its call waits until that is let go on. */
async function stranger(baileys, prepare, call) {
  const { opened, open } = gate()
  const { opened: reached, open: reach } = gate()
  let isHeld = false
  const held = makePeer(baileys, { jid: '15550100009:1@s.whatsapp.net', name: 'Zoe', keys: own => ({
    set: own.set,
    get: async (family, ids) => {
      if (isHeld) {
        reach()
        await opened
      }
      return own.get(family, ids)
    },
  }) })
  await prepare(held)
  isHeld = true
  const calling = call(held)
  await reached
  return { release: open, calling }
}

/** One that writes to the same contact. */
const strangerTo = (baileys, peer) => stranger(baileys, held => befriend(held, peer), held => write(held, peer, 'from a stranger'))

for (const [name, baileys] of Object.entries({ '7.0.0-rc14': rc14, '6.7.24': v67 })) describe(name, () => {
  async function setUp(t, { options, ...config } = {}) {
    afterwards(t, quietLibsignal())
    const cask = await open(t, options)
    const handOver = async person => handedOver(baileys, await signedIn(cask, person), config)
    return { cask, ada: await handOver(ADA), cleo: await handOver(CLEO), ben: makePeer(baileys, BEN) }
  }

  test('two accounts write to one contact and read from it at once', async t => {
    const { ada, cleo, ben } = await setUp(t)
    for (const one of [ada, cleo]) await befriend(one, ben)
    for (const n of NUMBERS) {
      const [toAda, toCleo] = [await write(ben, ada, `to Ada ${n}`), await write(ben, cleo, `to Cleo ${n}`)]
      const [fromAda, readByAda, fromCleo, readByCleo] = await within(10_000, `round ${n}`, Promise.all([
        write(ada, ben, `from Ada ${n}`), read(ada, ben, toAda), write(cleo, ben, `from Cleo ${n}`), read(cleo, ben, toCleo),
      ]))
      assert.deepEqual([readByAda, readByCleo], [`to Ada ${n}`, `to Cleo ${n}`])
      assert.equal(await read(ben, ada, fromAda), `from Ada ${n}`)
      assert.equal(await read(ben, cleo, fromCleo), `from Cleo ${n}`)
    }
  })

  test('what waits behind a stranger in the queue is part of its own transaction', async t => {
    const { cask, ada, ben } = await setUp(t)
    await befriend(ada, ben)
    const { release, calling } = await strangerTo(baileys, ben)
    const before = await ada.account.keys.get('session', [BEN_ADDRESS])
    const sending = write(ada, ben, 'behind a stranger')
    await turns()
    // It holds what it works on, so that nothing comes between its read and its write.
    const clearing = ada.account.keys.set({ session: { [BEN_ADDRESS]: null } })
    assert.ok(await isPending(clearing))
    assert.deepEqual(await ada.account.keys.get('session', [BEN_ADDRESS]), before)
    release()
    assert.equal(await read(ben, ada, await sending), 'behind a stranger')
    await Promise.all([calling, clearing])
    assert.deepEqual(await ada.account.keys.get('session', [BEN_ADDRESS]), {})
    assert.deepEqual(cask.locks(), [])
  })

  test('a message that begins a session, behind a stranger: session and pre-key change together', async t => {
    const { ada, ben } = await setUp(t)
    await ben.repository.injectE2ESession({ jid: ADA.jid, session: await bundleOf({ creds: ada.creds, keys: ada.account.keys }) })
    const message = await write(ben, ada, 'first')
    const [preKey] = await collect(ada.account.keys.listIds('pre-key'))
    const { release, calling } = await strangerTo(baileys, ben)
    const reading = read(ada, ben, message)
    await turns()
    const uploading = ada.account.keys.set({ 'pre-key': { [preKey]: null } })
    assert.ok(await isPending(uploading), 'the pre-key is locked with the session')
    release()
    assert.equal(await reading, 'first')
    await Promise.all([calling, uploading])
    assert.deepEqual(await collect(ada.account.keys.listIds('pre-key')), [])
    assert.deepEqual(await read(ben, ada, await write(ada, ben, 'answer')), 'answer')
  })

  test('two accounts begin a session with one new contact at once', async t => {
    const { ada, cleo, ben } = await setUp(t)
    await within(10_000, 'both begin', Promise.all([ada, cleo].map(one => meet(one, ben))))
    const messages = await Promise.all([ada, cleo].map(one => write(one, ben, one.jid)))
    assert.deepEqual(await Promise.all([read(ben, ada, messages[0]), read(ben, cleo, messages[1])]), [ADA.jid, CLEO.jid])
  })

  test('two accounts in one group read what a third writes there at once', async t => {
    const { cask, ada, cleo, ben } = await setUp(t)
    for (const n of NUMBERS) {
      const message = await writeToGroup(ben, GROUP, `round ${n}`)
      assert.deepEqual(await within(10_000, `round ${n}`, Promise.all([ada, cleo].map(one => readFromGroup(one, ben, GROUP, message)))), [`round ${n}`, `round ${n}`])
    }
    assert.deepEqual(cask.locks(), [])
  })

  if (baileys === v67) test('a message in a group, behind a stranger that reads it as well', async t => {
    const { ada, ben } = await setUp(t)
    const id = `${GROUP}::15550100002::1`
    const [first, second] = [await writeToGroup(ben, GROUP, 'first'), await writeToGroup(ben, GROUP, 'second')]
    await readFromGroup(ada, ben, GROUP, first)
    const { release, calling } = await stranger(baileys, held => readFromGroup(held, ben, GROUP, first), held => held.repository.decryptGroupMessage({ group: GROUP, authorJid: ben.jid, msg: second.ciphertext }))
    const reading = ada.repository.decryptGroupMessage({ group: GROUP, authorJid: ben.jid, msg: second.ciphertext })
    await turns()
    const clearing = ada.account.keys.set({ 'sender-key': { [id]: null } })
    assert.ok(await isPending(clearing))
    release()
    assert.equal(Buffer.from(await reading).toString(), 'second')
    await Promise.all([calling, clearing])
    assert.deepEqual(await ada.account.keys.get('sender-key', [id]), {})
  })

  test('who waits for a lock of its own account keeps no other account waiting', async t => {
    const { ada, cleo, ben } = await setUp(t)
    for (const one of [ada, cleo]) await befriend(one, ben)
    const { opened, open } = gate()
    const { opened: reached, open: reach } = gate()
    const keeping = ada.keys.transaction(async () => {
      await ada.keys.set({ session: { [BEN_ADDRESS]: null } })
      reach()
      await opened
      throw new Error('not after all')
    }, 'keeps the session')
    await reached
    const waiting = detached(() => write(ada, ben, 'late'))
    assert.equal(await read(ben, cleo, await within(10_000, 'the other account', write(cleo, ben, 'at once'))), 'at once')
    assert.ok(await isPending(waiting))
    open()
    await assert.rejects(keeping, /not after all/)
    assert.equal(await read(ben, ada, await waiting), 'late')
  })

  test('a call that was given up while it waited in the queue writes nothing when its turn comes, and the next one works', async t => {
    const { cask, ada, ben } = await setUp(t, { options: { transactionTimeoutMs: 400 } })
    await befriend(ada, ben)
    const { release, calling } = await strangerTo(baileys, ben)
    const before = await ada.account.keys.get('session', [BEN_ADDRESS])
    await assert.rejects(within(10_000, 'the limit', write(ada, ben, 'given up')), { code: 'ERR_CASK_TRANSACTION_TIMEOUT' })
    const next = write(ada, ben, 'next')
    next.catch(() => {})
    await turns()
    assert.deepEqual(await ada.account.keys.get('session', [BEN_ADDRESS]), before)
    release()
    await calling
    assert.equal(await read(ben, ada, await next), 'next')
    assert.equal(Object.values((await ada.account.keys.get('session', [BEN_ADDRESS]))[BEN_ADDRESS]._sessions).length, 1)
    assert.deepEqual(cask.locks(), [])
  })

  if (baileys === rc14) test('an account that asks the server for a LID keeps no other account waiting', async t => {
    const { opened, open } = gate()
    const { opened: reached, open: reach } = gate()
    let isHeld = false
    const { ada, cleo, ben } = await setUp(t, { pnToLID: async () => {
      if (!isHeld) return []
      isHeld = false
      reach()
      await opened
      return []
    } })
    for (const one of [ada, cleo]) await befriend(one, ben)
    isHeld = true
    const waiting = write(ada, ben, 'late')
    await reached
    assert.equal(await read(ben, cleo, await within(10_000, 'the other account', write(cleo, ben, 'at once'))), 'at once')
    assert.ok(await isPending(waiting))
    open()
    assert.equal(await read(ben, ada, await waiting), 'late')
  })
})
