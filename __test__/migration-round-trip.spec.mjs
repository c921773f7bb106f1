// A folder of Baileys' multi-file store, a cask, and a folder again: nothing is lost on the way, and conversations go on.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import * as rc14 from 'baileys'
import * as v67 from '@whiskeysockets/baileys'
import { exportMultiFile, importKeys, importMultiFile, useCaskAuthState } from 'baileys-cask'
import { converse, peerOf, PEOPLE, signIn } from '../demo/conversation.mjs'
import { KeyServer, routed } from '../demo/network.mjs'
import { authFolder, kept, linkedCreds, textsIn } from './helpers/auth-folders.mjs'
import { collect, contents, open } from './helpers/casks.mjs'
import { imageOf, newPath } from './helpers/folders.mjs'
import { signIn as linked } from './loopback/accounts.mjs'
import { openSocket } from './loopback/sockets.mjs'
import { startServer } from './loopback/server.mjs'

const VERSIONS = { '7.0.0-rc14': rc14, '6.7.24': v67 }
const { proto } = rc14

describe('whatever is in it', () => {
  const bytes = (min = 0, max = 40) => fc.uint8Array({ minLength: min, maxLength: max }).map(array => Buffer.from(array))
  const text = fc.string({ unit: 'grapheme', maxLength: 12 })
  const user = fc.integer({ min: 1, max: 99_999_999 }).map(n => `1555${n}`)
  const device = fc.integer({ min: 0, max: 99 })
  const address = fc.tuple(user, fc.constantFrom('', '_1', '_128'), device).map(([name, domain, n]) => `${name}${domain}.${n}`)
  const group = fc.oneof(user.map(name => `${name}-1500000000@g.us`), user.map(name => `12036${name}@g.us`), fc.constant('status@broadcast'))
  const deviceJid = fc.tuple(user, device, fc.constantFrom('s.whatsapp.net', 'lid', 'hosted', 'hosted.lid', 'c.us')).map(([name, n, server]) => `${name}:${n}@${server}`)
  const base64 = bytes(1, 12).map(id => id.toString('base64'))
  // Baileys takes objects with numbers for names and values for bytes; ids of an identity never are.
  const name = text.filter(key => Number.isNaN(parseInt(key, 10)) && key !== 'toJSON')
  const anything = fc.letrec(tie => ({
    value: fc.oneof({ maxDepth: 4 }, text, fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.boolean(), fc.constant(null), bytes(), fc.array(tie('value'), { maxLength: 4 }), fc.dictionary(name, tie('value'), { maxKeys: 4 })),
  })).value.filter(value => Boolean(value) && value.type !== 'Buffer')
  const keyPair = fc.record({ private: bytes(32, 32), public: bytes(32, 33) })
  const syncKey = fc.record({
    keyData: bytes(), timestamp: fc.maxSafeInteger(), fingerprint: fc.record({ rawId: fc.nat(), currentIndex: fc.nat(9), deviceIndexes: fc.array(fc.nat(9), { maxLength: 4 }) }, { requiredKeys: [] }),
  }, { requiredKeys: [] }).map(key => proto.Message.AppStateSyncKeyData.fromObject(key))
  const lthash = fc.record({ version: fc.nat(), hash: bytes(128, 128), indexValueMap: fc.dictionary(base64, fc.record({ valueMac: bytes(32, 32) }), { maxKeys: 5 }) })
  const session = fc.record({
    _sessions: fc.dictionary(base64, fc.record({
      registrationId: fc.nat(), currentRatchet: fc.record({ ephemeralKeyPair: fc.record({ pubKey: base64, privKey: base64 }), lastRemoteEphemeralKey: base64, previousCounter: fc.nat(), rootKey: base64 }),
      indexInfo: fc.record({ baseKey: base64, baseKeyType: fc.constantFrom(1, 2), closed: fc.constantFrom(-1, 1), used: fc.nat(), created: fc.nat(), remoteIdentityKey: base64 }),
      _chains: fc.dictionary(base64, fc.record({ chainKey: fc.record({ counter: fc.nat(), key: base64 }), chainType: fc.constantFrom(1, 2), messageKeys: fc.dictionary(fc.nat().map(String), base64, { maxKeys: 3 }) }), { maxKeys: 3 }),
    }), { maxKeys: 3 }),
    version: fc.constant('v1'),
  })
  const family = (id, value) => fc.dictionary(id, value, { maxKeys: 5 })
  const realistic = fc.record({
    'pre-key': family(fc.nat().map(String), keyPair), session: family(address, fc.oneof(session, bytes(1))), 'sender-key': family(fc.tuple(group, user, device).map(parts => parts.join('::')), bytes(1)),
    'sender-key-memory': family(fc.oneof(group, deviceJid), fc.dictionary(deviceJid, fc.boolean(), { maxKeys: 4 })), 'app-state-sync-key': family(base64, syncKey), 'app-state-sync-version': family(fc.constantFrom('critical_block', 'regular_low', 'regular'), lthash),
    'lid-mapping': family(fc.oneof(user, user.map(id => `${id}_reverse`)), user), 'device-list': family(user, fc.array(device.map(String), { maxLength: 4 })),
    tctoken: family(fc.oneof(deviceJid, user.map(id => `${id}@lid`), fc.constant('__index')), fc.record({ token: bytes(1), timestamp: fc.nat().map(String) }, { requiredKeys: ['token'] })), 'identity-key': family(address, bytes(33, 33)),
    mine: family(text.filter(id => id !== '' && !/[/:\0\\]/.test(id)), anything),
  }, { requiredKeys: [] })
  // Any id that a file name can hold; Baileys itself does not tell those apart that it encodes alike.
  const fileOf = (type, id) => `${type}-${id}`.replace(/\//g, '__').replace(/:/g, '-')
  const anyId = fc.oneof(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 24 }), fc.string({ unit: fc.constantFrom('-', '_', ':', '/', '@', '.', '1', 'a', 'g.us', 'lid'), minLength: 1, maxLength: 10 })).filter(id => !id.includes('\0') && !id.includes('\\'))
  const wild = fc.uniqueArray(fc.tuple(fc.constantFrom('session', 'sender-key', 'sender-key-memory', 'app-state-sync-version', 'lid-mapping', 'tctoken', 'identity-key', 'device-list', 'mine'), anyId, anything), { selector: ([type, id]) => fileOf(type, id).toLowerCase(), maxLength: 12 })
    .map(list => list.reduce((records, [type, id, value]) => ({ ...records, [type]: Object.assign(records[type] ?? {}, { [id]: value }) }), {}))

  const seen = value => (typeof value?.toJSON === 'function' && !Buffer.isBuffer(value) ? value.toJSON() : value)

  for (const [what, records, runs] of [['as Baileys makes it', realistic, 40], ['with any ids', wild, 60]]) {
    test(`a folder ${what}, through a cask: the same files, and Baileys reads the same`, async t => {
      let files = 0
      await fc.assert(fc.asyncProperty(records, async set => {
        const folder = await authFolder(t, set)
        const before = textsIn(folder)
        const cask = await open(t)
        const result = await importMultiFile(folder, cask.account())
        assert.deepEqual([result.complete, result.failed, result.ignored], [true, [], []])
        const out = newPath(t, 'out')
        await exportMultiFile(cask.account(), out)
        const after = textsIn(out)
        assert.deepEqual(Object.keys(after), Object.keys(before))
        const { state } = await rc14.useMultiFileAuthState(folder)
        const { state: again } = await rc14.useMultiFileAuthState(out)
        for (const [type, values] of Object.entries(set)) {
          const ids = Object.keys(values)
          const [theirs, ours] = [await state.keys.get(type, ids), await again.keys.get(type, ids)]
          for (const id of ids) assert.deepEqual(seen(ours[id]), seen(theirs[id]))
        }
        for (const [name, content] of Object.entries(before)) if (!name.startsWith('app-state-sync-key-')) assert.equal(after[name], content, name)
        files += Object.keys(before).length
        await cask.close()
      }), { numRuns: runs })
      assert.ok(files > runs * 3, 'the folders were empty')
    })
  }

  test('an account as Baileys makes it, through a folder or as a key store: the same records under the same ids', async t => {
    await fc.assert(fc.asyncProperty(realistic, async set => {
      const cask = await open(t)
      const account = cask.account()
      await account.saveCreds(linkedCreds())
      await account.keys.set(set)
      const folder = newPath(t, 'out')
      await exportMultiFile(account, folder)
      const other = await open(t)
      assert.equal((await importMultiFile(folder, other.account())).complete, true)
      assert.deepEqual(await contents(other, ['mine']), await contents(cask, ['mine']))
      const third = await open(t)
      assert.equal((await importKeys(account.keys, third.account(), { creds: await account.loadCreds(), families: ['mine'] })).complete, true)
      assert.deepEqual(await contents(third, ['mine']), await contents(cask, ['mine']))
      for (const one of [cask, other, third]) await one.close()
    }), { numRuns: 40 })
  })
})

describe('a conversation', () => {
  let lastId = 0
  const talk = turns => Array.from({ length: turns }, (_, turn) => ({
    messages: Array.from({ length: 1 + (turn % 3) }, (_, n) => {
      const id = `R${++lastId}`
      return { id, from: (turn + n) % 3 ? 'ada' : 'ben', toGroup: (turn + n) % 2 === 1, text: `${id}: \u{1f511}` }
    }),
  }))
  const countOf = turns => turns.reduce((sum, { messages }) => sum + messages.length, 0)
  const NAMES = ['ada', 'ben']

  test('1:1 and in a group goes from folders to casks and back to folders; each message is read once, also those on their way', async t => {
    const server = new KeyServer()
    const folders = { ada: newPath(t), ben: newPath(t) }
    const signInAll = async openOne => {
      const accounts = {}
      for (const name of NAMES) {
        const { state, saveCreds } = await openOne(name)
        accounts[name] = await signIn(name, { ...state, saveCreds, server })
        await accounts[name].register()
        await saveCreds()
      }
      return accounts
    }
    /** Talks, and leaves a message of each on its way. */
    const session = async (accounts, waiting) => {
      for (const { message, bytes } of waiting) assert.equal(await accounts[peerOf(message.from)].receive(bytes), message.text)
      const turns = talk(6)
      assert.equal(await converse(accounts, turns), countOf(turns))
      for (const { message, bytes } of waiting) await assert.rejects(accounts[peerOf(message.from)].receive(bytes), undefined, 'a ratchet was turned back')
      const left = []
      for (const from of NAMES) for (const toGroup of [false, true]) {
        const message = { id: `late ${++lastId}`, from, toGroup, text: `late ${lastId}` }
        left.push({ message, bytes: await routed(await accounts[from].send(message), PEOPLE[from]) })
      }
      for (const account of Object.values(accounts)) account.close()
      return left
    }
    let waiting = await session(await signInAll(name => rc14.useMultiFileAuthState(folders[name])), [])

    const before = NAMES.map(name => imageOf(folders[name]))
    const path = newPath(t)
    const cask = await open(t, { path })
    const accounts = await signInAll(name => useCaskAuthState(cask, { account: name, importFrom: folders[name] }))
    assert.deepEqual(NAMES.map(name => imageOf(folders[name])), before)
    for (const name of NAMES) {
      const { state } = await rc14.useMultiFileAuthState(folders[name])
      const { keys } = cask.account(name)
      let compared = 0
      for (const family of ['pre-key', 'session', 'sender-key', 'sender-key-memory', 'lid-mapping', 'identity-key']) {
        const ids = await collect(keys.listIds(family))
        assert.deepEqual(await keys.get(family, ids), await state.keys.get(family, ids), `${family} of ${name}`)
        compared += ids.length
      }
      assert.equal(compared, Object.keys(textsIn(folders[name])).length - 1)
      assert.deepEqual(kept(await cask.account(name).loadCreds()), state.creds)
    }
    waiting = await session(accounts, waiting)

    const outs = { ada: newPath(t, 'out'), ben: newPath(t, 'out') }
    for (const name of NAMES) await exportMultiFile(cask.account(name), outs[name])
    waiting = await session(await signInAll(name => rc14.useMultiFileAuthState(outs[name])), waiting)
    // And on with it, as often as anybody likes.
    const third = await open(t)
    await session(await signInAll(name => useCaskAuthState(third, { account: name, importFrom: outs[name] })), waiting)
  })

  for (const [version, baileys] of Object.entries(VERSIONS)) {
    test(`of two whole sockets (${version}) goes on after each move`, { timeout: 60_000 }, async t => {
      const server = await startServer(t)
      const people = { ada: { jid: '15550100001:1@s.whatsapp.net', name: 'Ada' }, ben: { jid: '15550100002:1@s.whatsapp.net', name: 'Ben' } }
      const openAll = async openOne => {
        const clients = {}
        for (const [name, person] of Object.entries(people)) {
          const { state, saveCreds } = await openOne(name)
          if (!state.creds.me) linked(state.creds, person)
          await saveCreds()
          clients[name] = await openSocket(t, { baileys, server, auth: state, saveCreds })
        }
        return clients
      }
      const say = async ({ ada, ben }, what) => {
        for (const n of [1, 2, 3]) {
          await ada.send(ben.jid, `Ada ${what} ${n}`)
          await ben.inbox.holds(`Ada ${what} ${n}`)
          await ben.send(ada.jid, `Ben ${what} ${n}`)
          await ada.inbox.holds(`Ben ${what} ${n}`)
        }
        for (const client of [ada, ben]) {
          assert.deepEqual(client.inbox.failures, [])
          await client.close()
        }
      }
      const folders = { ada: newPath(t), ben: newPath(t) }
      await say(await openAll(name => baileys.useMultiFileAuthState(folders[name])), 'on folders')
      const cask = await open(t, { path: newPath(t) })
      await say(await openAll(name => useCaskAuthState(cask, { account: name, importFrom: folders[name] })), 'on a cask')
      const outs = { ada: newPath(t, 'out'), ben: newPath(t, 'out') }
      for (const name of Object.keys(people)) await exportMultiFile(cask.account(name), outs[name])
      await say(await openAll(name => baileys.useMultiFileAuthState(outs[name])), 'on folders again')
      assert.equal(server.retries(), 0)
    })
  }
})
