// A socket that is made inside of a transaction leaves it, and its maker stays inside.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import * as rc14 from 'baileys'
import * as v67 from '@whiskeysockets/baileys'
import { detached, withCask } from 'baileys-cask'
import { open } from './helpers/casks.mjs'
import { afterwards } from './helpers/cleanup.mjs'
import { gate, turns, until, within } from './helpers/gate.mjs'
import { signedIn } from './loopback/casks.mjs'
import { silent } from '../demo/conversation.mjs'
import { startServer } from './loopback/server.mjs'

const ADA = { jid: '15550100001:1@s.whatsapp.net', name: 'Ada' }

for (const [name, { makeWASocket }] of Object.entries({ '7.0.0-rc14': rc14, '6.7.24': v67 })) describe(`a socket of ${name}`, () => {
  /** An account whose socket can be made: `make(config)` makes it, and notes for each of its events whether that came inside of a transaction. */
  async function setUp(t) {
    const server = await startServer(t)
    const cask = await open(t)
    const { account, auth } = await signedIn(cask, ADA)
    // Around the transactions of these tests is one of another account: the socket begins some of its own on its account, and emits events in them.
    const other = cask.account('other').keys
    const { keys } = account
    const transaction = work => other.transaction(() => keys.transaction(work))
    server.register({ ...auth.creds.me, jid: auth.creds.me.id })
    const warnings = []
    const logger = { ...silent, child: () => logger, warn: text => warnings.push(text) }
    const config = { auth, waWebSocketUrl: server.url, logger, shouldSyncHistoryMessage: () => false }
    const make = given => {
      const socket = makeWASocket(given)
      const { opened, open } = gate()
      const events = []
      const note = name => events.push([name, other.isInTransaction()])
      socket.ev.process(map => {
        for (const name of Object.keys(map)) note(name)
      })
      const seen = {}
      socket.ev.on('connection.update', update => {
        if (update.connection) note(update.connection)
        Object.assign(seen, update)
        if (seen.connection === 'open' && seen.receivedPendingNotifications) open()
      })
      afterwards(t, () => socket.end(undefined))
      return { socket, events, online: within(10_000, 'being online', opened) }
    }
    return { keys, transaction, config, make, warnings: () => warnings.filter(text => /withCask|transaction/.test(text)) }
  }

  /** Every event came outside, the first and the last. */
  function assertOutside({ events }) {
    assert.deepEqual(events.filter(([, isInside]) => isInside), [])
    const names = events.map(([name]) => name)
    assert.ok(names.includes('connecting') && names.includes('open') && names.includes('creds.update'), `${names}`)
  }

  const WAYS = {
    'config and socket inside': (config, { inside, make }) => inside(() => make(withCask(config))),
    'config outside, socket inside': (config, { inside, make }) => {
      const given = withCask(config)
      return inside(() => make(given))
    },
    'config inside, spread inside': (config, { inside, make }) => inside(() => make({ ...withCask(config), browser: ['a', 'Chrome', '1'] })),
    'config with options of its own': (config, { inside, make }) => inside(() => make(withCask({ ...config, options: { headers: { 'x-test': '1' } } }))),
  }
  for (const [way, run] of Object.entries(WAYS)) test(`${way}: its events are outside, the work inside, with what was begun before and after`, async t => {
    const { keys, transaction, config, make, warnings } = await setUp(t)
    const { opened, open } = gate()
    let early
    let late
    let made
    const inside = makeOne => transaction(async tx => {
      early = (async () => {
        await opened
        assert.ok(keys.isInTransaction(), 'what was begun before')
        await keys.set({ other: { early: 1 } })
      })()
      made = makeOne()
      assert.ok(keys.isInTransaction(), 'at once')
      late = (async () => {
        await opened
        assert.ok(keys.isInTransaction(), 'what was begun after')
        await keys.set({ other: { late: 1 } })
      })()
      await made.online
      assert.ok(keys.isInTransaction(), 'later')
      assert.deepEqual(await detached(() => keys.get('other', ['early'])), {})
      open()
      await Promise.all([early, late])
      assert.deepEqual(await tx.get('other', ['early', 'late']), { early: 1, late: 1 })
      throw new Error('rolled back')
    })
    await assert.rejects(run(config, { inside, make }), /rolled back/)
    assertOutside(made)
    assert.deepEqual(await keys.get('other', ['early', 'late']), {}, 'both took part')
    assert.deepEqual(warnings(), [])
  })

  test('one config makes sockets inside, outside, and inside again', async t => {
    const { keys, transaction, config, make, warnings } = await setUp(t)
    const given = withCask(config)
    for (const isInside of [true, false, true]) {
      const work = async () => {
        const made = make(given)
        assert.equal(keys.isInTransaction(), isInside)
        await made.online
        assert.equal(keys.isInTransaction(), isInside)
        assertOutside(made)
        made.socket.end(undefined)
      }
      await (isInside ? transaction(work) : work())
    }
    assert.deepEqual(warnings(), [])
  })

  test('what a handler of such a socket begins is outside too, also after a rollback', async t => {
    const { keys, transaction, config, make } = await setUp(t)
    const { opened, open } = gate()
    await assert.rejects(transaction(async () => {
      const { socket, online } = make(withCask(config))
      socket.ev.on('connection.update', async ({ connection }) => {
        if (connection !== 'open') return
        await turns()
        open(keys.set({ other: { handled: 1 } }))
      })
      await online
      throw new Error('rolled back')
    }), /rolled back/)
    await opened
    assert.deepEqual(await keys.get('other', ['handled']), { handled: 1 })
  })

  test('a socket made with `detached` is outside, whatever its config lacks', async t => {
    const { keys, transaction, config, make, warnings } = await setUp(t)
    await transaction(async () => {
      const made = detached(() => make({ ...withCask(config), options: {} }))
      assert.ok(keys.isInTransaction())
      await made.online
      assertOutside(made)
      assert.deepEqual(warnings(), [])
    })
  })

  test('where it cannot leave, a warning says what to do', async t => {
    const { keys, transaction, config, make, warnings } = await setUp(t)
    await transaction(async () => {
      const { online } = make({ ...withCask(config), options: {} })
      await until('a warning', () => warnings().length > 0)
      assert.match(warnings()[0], /inside of a transaction and could not leave it.*make it with detached\(\(\) => makeWASocket\(withCask\(config\)\)\)/)
      assert.ok(keys.isInTransaction())
      await online
    })
  })

  for (const [where, failing] of Object.entries({
    'before its repository': { transactionOpts: undefined, why: /maxCommitRetries/ },
    'for want of a repository': { makeSignalRepository: () => assert.fail('no repository'), why: /no repository/ },
  })) test(`a socket that cannot be made, ${where}, leaves its maker inside`, async t => {
    const { keys, transaction, config, make } = await setUp(t)
    const { why, ...fields } = failing
    await transaction(async tx => {
      const given = withCask({ ...config, ...fields })
      assert.throws(() => make(given), why)
      assert.ok(keys.isInTransaction())
      await turns()
      const { opened, open } = gate()
      const begun = opened.then(async () => {
        await turns()
        await keys.set({ other: { a: 1 } })
      })
      assert.equal(given.auth.creds, config.auth.creds)
      open()
      await begun
      assert.deepEqual(await tx.get('other', ['a']), { a: 1 })
      assert.deepEqual(await detached(() => keys.get('other', ['a'])), {}, 'it is staged')
    })
  })
})

describe('withCask by itself', () => {
  test('inside of a transaction it changes nothing for its caller, whether its config is read, copied or left alone', async t => {
    const { account, auth } = await signedIn(await open(t), ADA)
    const { keys } = account
    await keys.transaction(async tx => {
      const given = withCask({ auth })
      const copy = { ...given }
      assert.equal(copy.auth.creds, auth.creds)
      assert.equal(copy.options.headers, undefined)
      const begun = (async () => {
        await turns()
        await keys.set({ other: { a: 1 } })
      })()
      assert.equal(copy.auth.creds, auth.creds)
      await begun
      assert.deepEqual(await tx.get('other', ['a']), { a: 1 })
      assert.deepEqual(await detached(() => keys.get('other', ['a'])), {}, 'it is staged')
    })
  })

  test('where making a socket stopped half-way, what its maker began since stays inside', async t => {
    const { account, auth } = await signedIn(await open(t), ADA)
    const { keys } = account
    await keys.transaction(async tx => {
      // What `makeSocket` reads and calls, in its order, up to where it has failed.
      const { options, auth: read, makeSignalRepository } = { ...withCask({ auth }) }
      assert.equal(options.headers, undefined)
      makeSignalRepository({ creds: read.creds, keys: { ...read.keys } }, silent, async () => [])
      await turns()
      const { opened, open } = gate()
      const begun = opened.then(() => keys.set({ other: { a: 1 } }))
      assert.equal(read.creds, auth.creds)
      open()
      await begun
      assert.deepEqual(await tx.get('other', ['a']), { a: 1 })
      assert.deepEqual(await detached(() => keys.get('other', ['a'])), {}, 'it is staged')
    })
  })
})

describe('detached', () => {
  test('runs at once, outside of every transaction, with what begins in it; the caller stays inside', async t => {
    const [one, two] = [await open(t), await open(t)].map(cask => cask.account().keys)
    await one.transaction(() => two.transaction(async () => {
      const value = {}
      let emitter
      const later = []
      const given = detached(() => {
        for (const keys of [one, two]) assert.ok(!keys.isInTransaction())
        later.push(turns().then(() => one.isInTransaction()), new Promise(resolve => setTimeout(() => resolve(two.isInTransaction()), 1)))
        emitter = new EventEmitter()
        setImmediate(() => emitter.emit('said', one.isInTransaction()))
        return value
      })
      assert.equal(given, value)
      assert.ok(one.isInTransaction() && two.isInTransaction())
      later.push(once(emitter, 'said').then(([isInside]) => isInside))
      assert.deepEqual(await Promise.all(later), [false, false, false])
      assert.ok(one.isInTransaction() && two.isInTransaction())
    }))
  })

  test('its write commits while the transaction around it rolls back; what it throws comes out', async t => {
    const { keys } = (await open(t)).account()
    await assert.rejects(keys.transaction(async () => {
      await keys.set({ other: { inside: 1 } })
      await detached(() => keys.set({ other: { outside: 1 } }))
      detached(() => {
        throw new Error('from within')
      })
    }), /from within/)
    assert.deepEqual(await keys.get('other', ['inside', 'outside']), { outside: 1 })
    for (const bad of [undefined, 1, {}]) assert.throws(() => detached(bad), { code: 'ERR_CASK_INVALID_ARGUMENT', name: 'TypeError' })
  })
})
