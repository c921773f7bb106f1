// What `withCask` takes, what it hands over, and to whom.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import * as rc14 from 'baileys'
import * as v67 from '@whiskeysockets/baileys'
import { attachCask, useCaskAuthState, withCask } from 'baileys-cask'
import { open } from './helpers/casks.mjs'
import { loadAgain } from './helpers/copies.mjs'
import { newPath, tempFolder } from './helpers/folders.mjs'
import { gate, turns } from './helpers/gate.mjs'
import { keysInMemory } from './loopback/accounts.mjs'
import { handedOver, openOnCask, signedIn } from './loopback/casks.mjs'
import { befriend, makePeer, read, restFor, write } from './loopback/peers.mjs'
import { startServer } from './loopback/server.mjs'
import { silent } from '../demo/conversation.mjs'

const ADA = { jid: '15550100001:1@s.whatsapp.net', name: 'Ada' }
const BEN = { jid: '15550100002:1@s.whatsapp.net', name: 'Ben' }
const METHODS = ['get', 'set', 'clear', 'isInTransaction', 'transaction']
const VERSIONS = { '7.0.0-rc14': rc14, '6.7.24': v67 }

for (const [name, baileys] of Object.entries(VERSIONS)) describe(name, () => {
  const { addTransactionCapability, DEFAULT_CONNECTION_CONFIG } = baileys
  const wrapped = keys => addTransactionCapability(keys, silent, DEFAULT_CONNECTION_CONFIG.transactionOpts)

  test('the socket works with the cask\'s own methods, on the very object that are its keys', async t => {
    const server = await startServer(t)
    const cask = await open(t)
    const made = []
    const make = (auth, ...rest) => {
      const repository = DEFAULT_CONNECTION_CONFIG.makeSignalRepository(auth, ...rest)
      made.push({ auth, rest, repository })
      return repository
    }
    const { sock, account } = await openOnCask(t, { cask, person: ADA, baileys, server, makeSignalRepository: make })
    const { keys } = sock.authState
    assert.notEqual(keys, account.keys)
    assert.equal(made.length, 1, 'the given repository is made, once')
    const [{ auth, rest, repository }] = made
    assert.equal(sock.signalRepository, repository)
    assert.equal(auth.creds, sock.authState.creds)
    assert.notEqual(auth.keys, keys, 'the repository has keys of its own')
    assert.equal(rest.length, restFor(baileys).length)
    // Baileys' own would stage this without a lock.
    const { opened, open: go } = gate()
    const { opened: reached, open: reach } = gate()
    const { get, set, transaction, isInTransaction } = keys
    const working = transaction(async () => {
      await set({ other: { a: 1 } })
      assert.deepEqual(await get('other', ['a']), { a: 1 })
      assert.ok(isInTransaction())
      reach()
      await opened
    }, 'label')
    await reached
    assert.ok(!isInTransaction())
    assert.deepEqual(cask.locks().map(({ kind, label, type, id }) => label ?? `${type} ${id}`).sort(), ['label', 'other a'])
    go()
    await working
    assert.deepEqual(await account.keys.get('other', ['a']), { a: 1 })
    for (const method of METHODS) assert.equal(Object.hasOwn(keys[method], 'prototype'), false, `${method} needs no this`)
    await keys.clear()
    assert.deepEqual(await account.keys.get('other', ['a']), {})
  })

  test('without a given one the repository is that of this version', async t => {
    const { repository, keys } = handedOver(baileys, await signedIn(await open(t), ADA))
    assert.equal('lidMapping' in repository, baileys === rc14)
    assert.equal(repository.jidToSignalProtocolAddress(BEN.jid), '15550100002.1')
    assert.ok(!keys.isInTransaction())
  })

  test('a version that defeats it is warned about, once per reason, and nothing else is', async t => {
    const signed = await signedIn(await open(t), ADA)
    const warned = async use => {
      const warnings = []
      const logger = { ...silent, warn: text => warnings.push(text) }
      const { makeSignalRepository } = withCask({ auth: signed.auth, logger })
      use(keys => makeSignalRepository({ creds: signed.auth.creds, keys }, ...restFor(baileys)))
      await turns()
      return warnings
    }
    assert.deepEqual(await warned(make => make(wrapped(signed.auth.keys))), [])
    const says = why => [new RegExp(`withCask has no effect on the socket's own transactions: ${why}; this version of Baileys is not known to baileys-cask`)]
    const ways = {
      'it uses the keys as they are': make => make(signed.auth.keys),
      'its keys cannot be changed': make => make(Object.freeze(wrapped(signed.auth.keys))),
      'it has replaced the methods of its keys': make => {
        const keys = wrapped(signed.auth.keys)
        make(keys)
        keys.transaction = async work => work()
      },
    }
    for (const [why, use] of Object.entries(ways)) {
      const warnings = await warned(use)
      assert.equal(warnings.length, 1)
      assert.match(warnings[0], says(why)[0])
    }
    // The repository works on the cask all the same.
    const { makeSignalRepository } = withCask({ auth: signed.auth })
    const keys = Object.freeze(wrapped(signed.auth.keys))
    const ada = { jid: ADA.jid, creds: signed.auth.creds, keys: signed.auth.keys, repository: makeSignalRepository({ creds: signed.auth.creds, keys }, ...restFor(baileys)) }
    const ben = makePeer(baileys, BEN)
    await befriend(ada, ben)
    assert.equal(await read(ben, ada, await write(ada, ben, 'all the same')), 'all the same')
  })

  test('without a logger in the config the cask\'s own hears the warning', async t => {
    const warnings = []
    const logger = { ...silent, warn: text => warnings.push(text) }
    const { auth } = await signedIn(await open(t, { logger }), ADA)
    withCask({ auth }).makeSignalRepository({ creds: auth.creds, keys: auth.keys }, ...(baileys === rc14 ? [undefined, async () => []] : []))
    assert.equal(warnings.length, 1)
  })

  test('passing through withCask twice is passing once', async t => {
    const cask = await open(t)
    const ben = makePeer(baileys, BEN)
    const counted = async (person, wrap) => {
      let calls = 0
      const one = handedOver(baileys, await signedIn(cask, person), { wrap, makeSignalRepository: (auth, ...rest) => {
        const repository = DEFAULT_CONNECTION_CONFIG.makeSignalRepository(auth, ...rest)
        const { jidToSignalProtocolAddress } = repository
        return Object.assign(repository, { jidToSignalProtocolAddress: jid => {
          calls++
          return jidToSignalProtocolAddress(jid)
        } })
      } })
      await assert.rejects(one.keys.transaction(async () => {
        await befriend(one, ben)
        throw new Error('later')
      }, 'outer'), /later/)
      assert.equal(await read(ben, one, await write(one, ben, 'text')), 'text')
      return calls
    }
    const once = await counted(ADA, withCask)
    assert.ok(once > 0)
    assert.equal(await counted({ jid: '15550100003:1@s.whatsapp.net', name: 'Cleo' }, config => withCask(withCask(config))), once)
  })

  test('keys of a second copy of the package, of an attached cask, and of an account that ignores the context', async t => {
    const copy = loadAgain()
    const theirs = await copy.openCask()
    const name = `handover ${process.pid} ${Math.random()}`
    const ours = await open(t, { name })
    const other = attachCask(name)
    const makers = {
      'a second copy': () => signedIn(theirs, ADA),
      attached: () => signedIn(other, { ...ADA, name: 'attached' }),
      'not ambient': async () => {
        const signed = await signedIn(ours, { ...ADA, name: 'aside' })
        return { ...signed, auth: { ...signed.auth, keys: ours.account('aside', { ambient: false }).keys } }
      },
    }
    for (const [what, make] of Object.entries(makers)) {
      const ada = handedOver(baileys, await make())
      const ben = makePeer(baileys, BEN)
      await assert.rejects(ada.keys.transaction(async () => {
        await befriend(ada, ben)
        await ada.keys.set({ other: { staged: 1 } })
        assert.deepEqual(await ada.keys.get('other', ['staged']), { staged: 1 }, `${what}: takes part`)
        throw new Error('later')
      }, 'outer'), /later/, what)
      assert.deepEqual(await ada.keys.get('other', ['staged']), {})
      assert.equal(await read(ben, ada, await write(ada, ben, what)), what)
      await turns()
      assert.deepEqual(ada.warnings, [])
    }
    await Promise.all([theirs.close(), other.close()])
  })
})

describe('the config', () => {
  test('keeps its other fields, and the one that was handed in stays as it was', async t => {
    const { auth } = await signedIn(await open(t), ADA)
    const config = Object.freeze({ auth: Object.freeze(auth), browser: Object.freeze(['a', 'b', 'c']), logger: silent, getMessage: async () => undefined, options: Object.freeze({}), odd: undefined })
    const before = { ...config }
    const given = withCask(config)
    const { makeSignalRepository, ...rest } = given
    assert.equal(typeof makeSignalRepository, 'function')
    assert.deepEqual(rest, before)
    for (const [name, value] of Object.entries(rest)) assert.equal(value, config[name], name)
    assert.deepEqual(Object.keys(given), [...Object.keys(config), 'makeSignalRepository'])
    assert.deepEqual({ ...config }, before)
    // It is the maker's own, as before.
    given.browser = 'mine'
    assert.equal({ ...given }.browser, 'mine')
    assert.ok('browser' in given)
    delete given.odd
    assert.ok(!('odd' in given))
  })

  test('anything but a cask\'s own keys is refused, with words that say what to pass', async t => {
    const cask = await open(t)
    const { auth } = await signedIn(cask, ADA)
    const { keys } = auth
    const { state } = await rc14.useMultiFileAuthState(tempFolder(t))
    const refused = {
      'Baileys\' cache': rc14.makeCacheableSignalKeyStore(keys, silent),
      'Baileys\' wrapper': rc14.addTransactionCapability(keys, silent, { maxCommitRetries: 1, delayBetweenTriesMs: 1 }),
      'a spread copy': { ...keys },
      'what inherits from them': Object.create(keys),
      'a proxy': new Proxy(keys, {}),
      'a wrapper of one\'s own': { get: keys.get, set: async data => keys.set(data) },
      'the account': cask.account('Ada'),
      'another store': state.keys,
      'a store in memory': keysInMemory(),
      nothing: undefined,
      null: null,
      'a string': 'keys',
    }
    for (const [what, given] of Object.entries(refused)) {
      assert.throws(() => withCask({ auth: { creds: auth.creds, keys: given } }), error => {
        assert.ok(error instanceof TypeError, what)
        assert.equal(error.code, 'ERR_CASK_INVALID_ARGUMENT')
        assert.equal(error.argument, 'auth.keys')
        assert.match(error.message, /pass state\.keys of useCaskAuthState itself, without makeCacheableSignalKeyStore/)
        return true
      }, what)
    }
    for (const bad of [undefined, null, 'config', 1]) assert.throws(() => withCask(bad), { name: 'TypeError', code: 'ERR_CASK_INVALID_ARGUMENT', argument: 'config' })
    for (const bad of [{}, { auth: undefined }, { auth: null }]) assert.throws(() => withCask(bad), { name: 'TypeError', argument: 'auth.keys' })
    assert.doesNotThrow(() => withCask({ auth }))
  })

  test('the state of useCaskAuthState is what it takes', async t => {
    const { state, close } = await useCaskAuthState(newPath(t))
    assert.doesNotThrow(() => withCask({ auth: state }))
    await close()
    const { keys } = handedOver(rc14, { auth: { ...state, creds: Object.assign(state.creds, { me: { id: ADA.jid } }) } })
    await assert.rejects(keys.get('session', ['a']), { code: 'ERR_CASK_CLOSED' })
  })

  test('a socket that got another auth than withCask is refused, before it can mix two identities', async t => {
    const cask = await open(t)
    const ada = await signedIn(cask, ADA)
    const ben = await signedIn(cask, BEN)
    const { makeSignalRepository } = withCask({ auth: ada.auth })
    assert.throws(() => makeSignalRepository({ creds: ben.auth.creds, keys: ben.auth.keys }, silent, async () => []), {
      name: 'TypeError', code: 'ERR_CASK_INVALID_ARGUMENT', argument: 'auth', message: /another auth than withCask/,
    })
    assert.doesNotThrow(() => makeSignalRepository({ creds: { ...ada.auth.creds }, keys: {} }, silent, async () => []), 'a copy of its own is its own')
  })
})
