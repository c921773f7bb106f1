// Transactions of the Signal repository: independent, short, and the ones that hold the ratchets.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import * as rc14 from 'baileys'
import * as v67 from '@whiskeysockets/baileys'
import { detached } from 'baileys-cask'
import { open } from './helpers/casks.mjs'
import { afterwards } from './helpers/cleanup.mjs'
import { gate, isPending, turns, within } from './helpers/gate.mjs'
import { handedOver, signedIn } from './loopback/casks.mjs'
import { quietLibsignal } from './loopback/console.mjs'
import { befriend, makePeer, meet, read, readFromGroup, write, writeToGroup } from './loopback/peers.mjs'

const ADA = { jid: '15550100001:1@s.whatsapp.net', name: 'Ada' }
const BEN = { jid: '15550100002:1@s.whatsapp.net', name: 'Ben' }
const BEN_ADDRESS = '15550100002.1'
const GROUP = '120363000000000001@g.us'
const BEN_IN_GROUP = `${GROUP}::15550100002::1`
const ADA_IN_GROUP = `${GROUP}::15550100001::1`

/** What is locked by whom, as short texts. */
const holders = cask => cask.locks().flatMap(({ kind, label, type, id, holders }) =>
  holders.map(({ mode, label: holder }) => `${holder ?? 'unnamed'}: ${kind === 'label' ? `label ${label}` : `${type} ${id} ${mode}`}`)).sort()

async function setUp(t, baileys, { options, ...config } = {}) {
  afterwards(t, quietLibsignal())
  const cask = await open(t, options)
  const ada = handedOver(baileys, await signedIn(cask, ADA), config)
  return { cask, ada, stored: ada.account.keys, ben: makePeer(baileys, BEN) }
}

/** The same with the keys that the repository gets, `aside`. Its method runs the `work` it is given in a transaction. */
async function setUpKeys(t, options) {
  let aside
  const made = await setUp(t, rc14, { options, makeSignalRepository: auth => {
    aside = auth.keys
    return { jidToSignalProtocolAddress: () => BEN_ADDRESS, encryptMessage: ({ work }) => aside.transaction(work, 'encrypt') }
  } })
  return { ...made, aside }
}

/** A transaction of somebody else that holds records until it is let go on. */
async function holding(keys, family, ids, label) {
  const { opened, open: release } = gate()
  const { opened: reached, open: reach } = gate()
  const done = keys.transaction(async tx => {
    await tx.get(family, ids)
    reach()
    await opened
  }, label)
  await reached
  return { release, done }
}

for (const [name, baileys] of Object.entries({ '7.0.0-rc14': rc14, '6.7.24': v67 })) describe(name, () => {
  const labelOf = jid => (baileys === rc14 ? jid : BEN_ADDRESS)

  test('a ratchet step is stored before its ciphertext leaves, and nothing of it stays locked', async t => {
    const { cask, ada, ben, stored } = await setUp(t, baileys)
    await befriend(ada, ben)
    await ada.keys.transaction(async () => {
      const counterOf = session => Math.max(...Object.values(session[BEN_ADDRESS]._sessions).flatMap(({ _chains }) => Object.values(_chains).filter(({ chainType }) => chainType === 1).map(({ chainKey }) => chainKey.counter)))
      const before = counterOf(await detached(() => stored.get('session', [BEN_ADDRESS])))
      const message = await write(ada, ben, 'text')
      assert.equal(counterOf(await detached(() => stored.get('session', [BEN_ADDRESS]))), before + 1)
      assert.deepEqual(holders(cask), ['send: label send'])
      const { ciphertext } = await writeToGroup(ada, GROUP, 'text')
      assert.ok(ciphertext.length > 0)
      assert.ok((await detached(() => stored.get('sender-key', [ADA_IN_GROUP])))[ADA_IN_GROUP])
      assert.deepEqual(holders(cask), ['send: label send'])
      assert.equal(await read(ben, ada, message), 'text')
    }, 'send')
  })

  test('a ratchet step does not come back when the send around it fails', async t => {
    const { ada, ben } = await setUp(t, baileys)
    const sent = []
    const failing = async work => assert.rejects(ada.keys.transaction(async () => {
      sent.push(await work())
      throw new Error('the line is cut')
    }, 'send'), /the line is cut/)
    await failing(() => meet(ada, ben))
    await failing(() => write(ada, ben, 'one'))
    await failing(() => write(ada, ben, 'two'))
    assert.equal(await read(ben, ada, sent[1]), 'one')
    assert.equal(await read(ben, ada, sent[2]), 'two')
    const answer = await write(ben, ada, 'answer')
    await failing(() => read(ada, ben, answer))
    assert.equal(sent[3], 'answer')
    await assert.rejects(read(ada, ben, answer), 'it was read, and stays read')
    await failing(() => writeToGroup(ada, GROUP, 'to all, one'))
    await failing(() => writeToGroup(ada, GROUP, 'to all, two'))
    assert.equal(await readFromGroup(ben, ada, GROUP, sent[4]), 'to all, one')
    assert.equal(await readFromGroup(ben, ada, GROUP, sent[5]), 'to all, two')
    const toAll = await writeToGroup(ben, GROUP, 'to Ada')
    await failing(() => readFromGroup(ada, ben, GROUP, toAll))
    await assert.rejects(readFromGroup(ada, ben, GROUP, toAll), 'it was read, and stays read')
  })

  const CALLS = {
    encryptMessage: ({ repository }) => repository.encryptMessage({ jid: BEN.jid, data: Buffer.from('text') }),
    decryptMessage: ({ repository }) => repository.decryptMessage({ jid: BEN.jid, type: 'msg', ciphertext: Buffer.from('text') }),
    injectE2ESession: ({ repository }) => repository.injectE2ESession({ jid: BEN.jid, session: {} }),
    encryptGroupMessage: ({ repository }) => repository.encryptGroupMessage({ group: GROUP, meId: ADA.jid, data: Buffer.from('text') }),
    decryptGroupMessage: ({ repository }) => repository.decryptGroupMessage({ group: GROUP, authorJid: BEN.jid, msg: Buffer.from('text') }),
    processSenderKeyDistributionMessage: ({ repository }, message) => repository.processSenderKeyDistributionMessage({ authorJid: BEN.jid, item: message.item }),
  }
  for (const [method, call] of Object.entries(CALLS)) test(`${method} holds its label and waits for its ratchet before it begins`, async t => {
    const { cask, ada, ben, stored } = await setUp(t, baileys)
    const isGroup = method.includes('Group') || method.includes('SenderKey')
    const [family, id] = isGroup ? ['sender-key', method.startsWith('encrypt') ? ADA_IN_GROUP : BEN_IN_GROUP] : ['session', BEN_ADDRESS]
    const message = await writeToGroup(ben, GROUP, 'text')
    const other = await holding(stored, family, [id], 'other')
    const calling = ada.keys.transaction(() => call(ada, message), 'send')
    calling.catch(() => {})
    assert.ok(await isPending(calling))
    const label = isGroup ? GROUP : labelOf(BEN.jid)
    assert.deepEqual(holders(cask), [`${label}: label ${label}`, `other: ${family} ${id} exclusive`, 'other: label other', 'send: label send'].sort())
    const waiters = cask.locks().flatMap(({ type, id, waiters }) => waiters.map(({ label }) => `${label} waits for ${type} ${id}`))
    assert.deepEqual(waiters, [`${label} waits for ${family} ${id}`])
    other.release()
    await other.done
    await calling.catch(() => {})
    assert.deepEqual(cask.locks(), [])
  })

  test('what waits longer than allowed fails with that, and never takes a session for lost', async t => {
    const { ada, ben, stored } = await setUp(t, baileys, { options: { lockTimeoutMs: 30 } })
    await befriend(ada, ben)
    const { [BEN_ADDRESS]: before } = await stored.get('session', [BEN_ADDRESS])
    const answer = await write(ben, ada, 'answer')
    const other = await holding(stored, 'session', [BEN_ADDRESS])
    for (const call of [() => write(ada, ben, 'text'), () => read(ada, ben, answer), () => meet(ada, ben)]) {
      await assert.rejects(within(10_000, 'the limit', call()), { code: 'ERR_CASK_LOCK_TIMEOUT' })
    }
    other.release()
    await other.done
    assert.deepEqual(await stored.get('session', [BEN_ADDRESS]), { [BEN_ADDRESS]: before })
    assert.equal(await read(ada, ben, answer), 'answer')
  })

  test('a call without a name fails as it does in Baileys, and leaves nothing locked', async t => {
    const { cask, ada } = await setUp(t, baileys)
    const plain = makePeer(baileys, BEN)
    for (const call of [
      ({ repository }) => repository.encryptMessage({ jid: undefined, data: Buffer.from('text') }),
      ({ repository }) => repository.decryptGroupMessage({ group: undefined, authorJid: BEN.jid, msg: Buffer.from('text') }),
      ({ repository }) => repository.processSenderKeyDistributionMessage({ authorJid: BEN.jid, item: {} }),
    ]) {
      const fails = async one => call(one)
      const expected = await fails(plain).catch(({ message }) => message)
      await assert.rejects(fails(ada), { message: expected })
    }
    assert.deepEqual(cask.locks(), [])
  })
})

describe('the keys of a repository', () => {
  test('a get outside its transactions takes no lock, waits for none, and sees what is staged around it', async t => {
    const { cask, ada, aside, stored } = await setUpKeys(t)
    await stored.set({ session: { a: { n: 1 }, b: { n: 1 } }, 'identity-key': { a: Buffer.from([1]) } })
    const other = await holding(stored, 'session', ['a'])
    assert.deepEqual(await aside.get('session', ['a']), { a: { n: 1 } })
    await ada.keys.transaction(async () => {
      await ada.keys.set({ session: { b: { n: 2 } } })
      assert.deepEqual(await aside.get('session', ['a', 'b']), { a: { n: 1 }, b: { n: 2 } })
      for (const family of ['identity-key', 'sender-key-memory']) await aside.get(family, ['a'])
      assert.deepEqual(holders(cask), ['send: label send', 'send: session b exclusive', 'unnamed: session a exclusive'])
      assert.ok(!aside.isInTransaction() && ada.keys.isInTransaction())
    }, 'send')
    other.release()
    await other.done
  })

  test('a set outside its transactions commits at once, also of what is locked around it; others\' locks it waits for', async t => {
    const { ada, aside, stored } = await setUpKeys(t)
    const other = await holding(stored, 'session', ['b'])
    await assert.rejects(ada.keys.transaction(async () => {
      await ada.keys.get('sender-key-memory', ['g'])
      await aside.set({ 'sender-key-memory': { g: { n: 1 } }, session: { a: { n: 1 } } })
      assert.deepEqual(await detached(() => stored.get('session', ['a'])), { a: { n: 1 } })
      const waiting = aside.set({ session: { b: { n: 1 } } })
      assert.ok(await isPending(waiting))
      other.release()
      await waiting
      throw new Error('the send fails')
    }, 'send'), /the send fails/)
    assert.deepEqual(await stored.get('session', ['a', 'b']), { a: { n: 1 }, b: { n: 1 } })
    assert.deepEqual(await stored.get('sender-key-memory', ['g']), { g: { n: 1 } })
  })

  test('its transaction locks what it reads, but for mappings and devices, and ends with its locks', async t => {
    const { cask, ada, aside, stored } = await setUpKeys(t)
    await ada.keys.transaction(async () => {
      await aside.transaction(async () => {
        assert.ok(aside.isInTransaction())
        for (const family of ['session', 'sender-key', 'pre-key', 'identity-key', 'lid-mapping', 'device-list']) await aside.get(family, ['a'])
        await aside.set({ session: { a: { n: 1 } } })
        assert.deepEqual(await aside.get('session', ['a']), { a: { n: 1 } })
        assert.deepEqual(await detached(() => stored.get('session', ['a'])), {})
        assert.deepEqual(holders(cask), [
          'inner: identity-key a shared', 'inner: label inner', 'inner: pre-key a exclusive', 'inner: sender-key a exclusive', 'inner: session a exclusive', 'send: label send',
        ])
      }, 'inner')
      assert.deepEqual(holders(cask), ['send: label send'])
      assert.deepEqual(await detached(() => stored.get('session', ['a'])), { a: { n: 1 } })
    }, 'send')
  })

  test('what a method has locked before it began is read as it is: each time anew, and with what was written meanwhile', async t => {
    const { ada, aside, stored } = await setUpKeys(t)
    await stored.set({ session: { [BEN_ADDRESS]: { n: 1 } } })
    await ada.repository.encryptMessage({ jid: BEN.jid, work: async () => {
      const { [BEN_ADDRESS]: first } = await aside.get('session', [BEN_ADDRESS])
      first.n = 2
      assert.deepEqual(await aside.get('session', [BEN_ADDRESS]), { [BEN_ADDRESS]: { n: 1 } })
    } })
    await ada.repository.encryptMessage({ jid: BEN.jid, work: async () => {
      await aside.set({ session: { [BEN_ADDRESS]: { n: 3 } } })
      assert.deepEqual(await aside.get('session', [BEN_ADDRESS]), { [BEN_ADDRESS]: { n: 3 } })
    } })
    await ada.repository.encryptMessage({ jid: BEN.jid, work: async () => {
      await aside.transaction(() => aside.set({ session: { [BEN_ADDRESS]: { n: 4 } } }), 'inner')
      assert.deepEqual(await aside.get('session', [BEN_ADDRESS]), { [BEN_ADDRESS]: { n: 4 } })
    } })
    // It has ended: who has no transaction any more is outside.
    assert.deepEqual(await aside.get('session', [BEN_ADDRESS]), { [BEN_ADDRESS]: { n: 4 } })
    await aside.set({ session: { [BEN_ADDRESS]: { n: 5 } } })
    assert.deepEqual(await stored.get('session', [BEN_ADDRESS]), { [BEN_ADDRESS]: { n: 5 } })
  })

  test('its failure undoes its own writes and nothing of the send around it', async t => {
    const { ada, aside, stored } = await setUpKeys(t)
    await ada.keys.transaction(async () => {
      await ada.keys.set({ tctoken: { a: { n: 1 } } })
      await assert.rejects(aside.transaction(async () => {
        await aside.set({ session: { a: { n: 1 } } })
        throw new Error('Bad MAC')
      }, 'inner'), /Bad MAC/)
    }, 'send')
    assert.deepEqual(await stored.get('session', ['a']), {})
    assert.deepEqual(await stored.get('tctoken', ['a']), { a: { n: 1 } })
  })

  test('deadlock victims are run again, and both succeed', async t => {
    const { cask, aside, stored } = await setUpKeys(t)
    const runs = { one: 0, two: 0 }
    const both = [gate(), gate()]
    const add = (name, mine, other, n) => aside.transaction(async () => {
      runs[name]++
      const { [mine]: first = 0 } = await aside.get('session', [mine])
      both[n].open()
      await both[1 - n].opened
      const { [other]: second = 0 } = await aside.get('session', [other])
      await aside.set({ session: { [mine]: first + 1, [other]: second + 1 } })
      return name
    }, name)
    assert.deepEqual(await within(10_000, 'both', Promise.all([add('one', 'a', 'b', 0), add('two', 'b', 'a', 1)])), ['one', 'two'])
    assert.deepEqual(await stored.get('session', ['a', 'b']), { a: 2, b: 2 })
    assert.equal(runs.one + runs.two, 3)
    assert.deepEqual(cask.locks(), [])
  })

  test('a victim is run again five times and no more; what else fails is not run again', async t => {
    const { aside, stored } = await setUpKeys(t)
    let runs = 0
    const others = []
    const unlucky = aside.transaction(async () => {
      runs++
      await aside.get('session', ['a'])
      const { opened: reached, open: reach } = gate()
      others.push(detached(() => stored.transaction(async tx => {
        await tx.get('session', ['b'])
        reach()
        await tx.get('session', ['a'])
      })))
      await reached
      await turns()
      await aside.get('session', ['b'])
    }, 'unlucky')
    await assert.rejects(within(10_000, 'its end', unlucky), { code: 'ERR_CASK_DEADLOCK', label: 'unlucky' })
    assert.equal(runs, 6)
    await Promise.all(others)
    runs = 0
    await assert.rejects(aside.transaction(async () => {
      runs++
      throw new Error('Bad MAC')
    }), /Bad MAC/)
    assert.equal(runs, 1)
  })

  test('a victim whose send was taken along is not run again', async t => {
    const { ada, aside } = await setUpKeys(t)
    const both = [gate(), gate()]
    let runs = 0
    const send = (n, mine, next) => ada.keys.transaction(async () => {
      await ada.keys.set({ session: { [mine]: { n } } })
      both[n].open()
      await both[1 - n].opened
      await next()
    }, `send ${n}`)
    const results = await within(10_000, 'both', Promise.allSettled([
      send(0, 'a', () => ada.keys.set({ session: { b: { n: 0 } } })),
      send(1, 'b', async () => {
        await turns()
        await aside.transaction(async () => {
          runs++
          await aside.get('session', ['a'])
        }, 'inner')
      }),
    ]))
    const failed = results.filter(({ status }) => status === 'rejected').map(({ reason }) => reason)
    assert.deepEqual(failed.map(({ code }) => code), ['ERR_CASK_DEADLOCK'])
    assert.equal(runs, 1)
  })

  test('nor where that is a transaction of another account', async t => {
    const { cask, aside } = await setUpKeys(t)
    const other = cask.account('other').keys
    const { opened: first, open: beFirst } = gate()
    const { opened: second, open: beSecond } = gate()
    let runs = 0
    const results = await within(10_000, 'both', Promise.allSettled([
      other.transaction(async tx => {
        await tx.get('session', ['x'])
        beFirst()
        await second
        await turns()
        await aside.transaction(async () => {
          runs++
          await aside.get('session', ['a'])
        }, 'inner')
      }, 'taken along'),
      first.then(() => aside.transaction(async () => {
        await aside.get('session', ['a'])
        const waiting = other.transaction(tx => tx.get('session', ['x']), 'innermost')
        beSecond()
        await waiting
      }, 'goes on')),
    ]))
    assert.deepEqual(results.map(({ status, reason }) => reason?.label ?? status), ['taken along', 'fulfilled'])
    assert.equal(runs, 1)
  })

  test('a call inside of a send that was given up is refused, and writes nothing', async t => {
    const { ada, aside, stored } = await setUpKeys(t)
    const { opened, open } = gate()
    let late
    await assert.rejects(ada.keys.transaction(async () => {
      late = opened.then(() => aside.transaction(() => aside.set({ session: { a: { n: 1 } } }), 'inner'))
      late.catch(() => {})
      await late
    }, 'send', { timeoutMs: 30 }), { code: 'ERR_CASK_TRANSACTION_TIMEOUT' })
    open()
    await assert.rejects(late, { code: 'ERR_CASK_TRANSACTION_TIMEOUT' })
    assert.deepEqual(await stored.get('session', ['a']), {})
  })

  test('mistakes in arguments are told where they were made', async t => {
    const { aside } = await setUpKeys(t)
    for (const call of [() => aside.transaction(), () => aside.transaction('work', 'label'), () => aside.transaction(async () => {}, ''), () => aside.get('session'), () => aside.set({ session: { a: NaN } })]) {
      await assert.rejects(call(), error => error.code === 'ERR_CASK_INVALID_ARGUMENT' && /with-cask-repository/.test(error.stack))
    }
  })
})
