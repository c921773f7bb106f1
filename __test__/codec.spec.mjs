import { after, before, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import vm from 'node:vm'
import fc from 'fast-check'
import { BufferJSON, Curve, initAuthCreds, proto, useMultiFileAuthState } from 'baileys'
import { collectGarbage } from './helpers/gc.mjs'

const require = createRequire(import.meta.url)
const { Writer } = require('../js/codec/writer.js')
const { encodeValue } = require('../js/codec/encode.js')
const { decodeValue } = require('../js/codec/decode.js')
const { TAG } = require('../js/codec/tags.js')
const { FAMILY_CODES, FAMILY_NAMES, OTHER_FAMILY, CREDS } = require('../js/codec/families.js')
const libsignal = createRequire(import.meta.resolve('baileys'))('libsignal')

const AppStateSyncKeyData = proto.Message.AppStateSyncKeyData
const WITH_PROTO = { appStateSyncKey: value => AppStateSyncKeyData.fromObject(value) }
const FAMILIES = [...FAMILY_CODES.keys(), 'other']
const codeOf = family => (family === 'creds' ? CREDS : (FAMILY_CODES.get(family) ?? OTHER_FAMILY))

function encode(family, value, path = 'value') {
  const writer = new Writer(Buffer.alloc(4))
  encodeValue(writer, codeOf(family), value, path)
  return Buffer.from(writer.buffer.subarray(0, writer.offset))
}
const decode = (family, bytes, hooks) => decodeValue(bytes, 0, bytes.length, codeOf(family), hooks)
const roundTrip = (family, value, hooks) => decode(family, encode(family, value), hooks)

let folder
let multiFile
let nextId = 0
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cask-codec-'))
  multiFile = (await useMultiFileAuthState(folder)).state.keys
})
after(() => rm(folder, { recursive: true, force: true }))

/** What Baileys' own store gives back; rejects where it cannot write or read the value. */
async function throughBaileys(family, value) {
  const id = `id-${nextId++}`
  await multiFile.set({ [family]: { [id]: value } })
  return (await multiFile.get(family, [id]))[id]
}

const property = (arbitrary, check, numRuns = 150) => fc.assert(fc.asyncProperty(arbitrary, check), { numRuns, endOnFailure: true })

// ---- arbitraries ----------------------------------------------------------------------------------------
const bytes = fc.uint8Array({ maxLength: 80 }).chain(array => fc.constantFrom(array, Buffer.from(array)))
const text = fc.oneof(fc.string({ unit: 'binary-ascii', maxLength: 140 }), fc.string({ unit: 'grapheme' }), fc.string({ unit: 'binary' }))
const number = fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.integer(), fc.maxSafeInteger(), fc.constantFrom(-0, 127, 128, -1, 2 ** 31, -(2 ** 31), 2 ** 52, 2 ** 52 + 2))
/** BufferJSON takes objects of numbers by index for bytes, which this store does not; such keys are tested apart. */
const key = fc.oneof(text, fc.constantFrom('__proto__', 'constructor', 'toString', 'length', 'type', 'data', '')).filter(name => Number.isNaN(parseInt(name, 10)))
const { anything } = fc.letrec(tie => ({
  anything: fc.oneof(
    { maxDepth: 5, depthSize: 'small' },
    fc.constantFrom(null, true, false),
    number,
    text,
    bytes,
    fc.array(tie('anything'), { maxLength: 5 }),
    fc.array(fc.tuple(key, fc.oneof({ arbitrary: tie('anything'), weight: 5 }, fc.constant(undefined))), { maxLength: 6 }).map(entries => {
      const object = {}
      for (const [name, value] of entries) Object.defineProperty(object, name, { value, enumerable: true, writable: true, configurable: true })
      return object
    })
  )
}))
const base64Key = fc.uint8Array({ minLength: 33, maxLength: 33 }).map(array => Buffer.from(array).toString('base64'))
const chain = fc.record({
  chainKey: fc.oneof(fc.record({ counter: fc.integer({ min: -1 }) }, { noNullPrototype: true }), fc.record({ counter: fc.integer({ min: -1 }), key: fc.option(base64Key, { nil: undefined }) }, { noNullPrototype: true })),
  chainType: fc.constantFrom(1, 2),
  messageKeys: fc.dictionary(fc.nat(2000).map(String), base64Key, { maxKeys: 4, noNullPrototype: true })
}, { noNullPrototype: true })
const entry = fc.record({
  registrationId: fc.nat(16383),
  currentRatchet: fc.record({
    ephemeralKeyPair: fc.record({ pubKey: base64Key, privKey: base64Key }, { noNullPrototype: true }),
    lastRemoteEphemeralKey: base64Key,
    previousCounter: fc.nat(),
    rootKey: base64Key
  }, { noNullPrototype: true }),
  indexInfo: fc.record({ baseKey: base64Key, baseKeyType: fc.constantFrom(1, 2), closed: fc.constantFrom(-1, 1700000000123), used: fc.nat(), created: fc.constant(1700000000000), remoteIdentityKey: base64Key }, { noNullPrototype: true }),
  _chains: fc.dictionary(fc.oneof(base64Key, fc.constant('__proto__')), chain, { maxKeys: 20, noNullPrototype: true })
}, { noNullPrototype: true }).chain(base => fc.oneof(
  fc.constant(base),
  fc.record({ signedKeyId: fc.nat(), baseKey: base64Key }, { noNullPrototype: true }).map(pendingPreKey => ({ ...base, pendingPreKey })),
  fc.record({ signedKeyId: fc.nat(), baseKey: base64Key, preKeyId: fc.nat() }, { noNullPrototype: true }).map(pendingPreKey => ({ ...base, pendingPreKey }))
))
const session = fc.record({ _sessions: fc.dictionary(base64Key, entry, { maxKeys: 3, noNullPrototype: true }), version: fc.constant('v1') }, { noNullPrototype: true })
const ltHash = fc.record({
  version: fc.nat(),
  hash: bytes,
  indexValueMap: fc.dictionary(base64Key, fc.record({ valueMac: bytes }, { noNullPrototype: true }), { maxKeys: 20, noNullPrototype: true })
}, { noNullPrototype: true })

/** Every object inside a value, to be changed by a test. */
function objectsIn(value, found = []) {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return found
  found.push(value)
  for (const item of Object.values(value)) objectsIn(item, found)
  return found
}
/** Whether BufferJSON's reviver makes bytes of an object in it, which this store does not. */
const holdsNumericObject = value => objectsIn(value).some(object => {
  const entries = Object.entries(object).filter(([, item]) => item !== undefined)
  return !Array.isArray(object) && entries.length > 0 && entries.every(([name, item]) => !Number.isNaN(parseInt(name, 10)) && typeof item === 'number')
})
/** A copy of a value in which one object has one property changed, removed, added or moved. */
const nearly = arbitrary => fc.tuple(arbitrary, fc.nat(), fc.nat(), fc.constantFrom('drop', 'add', 'replace', 'move'), anything).map(([original, where, which, how, other]) => {
  const value = structuredClone(original)
  const objects = objectsIn(value)
  const object = objects[where % objects.length]
  const names = Object.keys(object)
  const name = names[which % names.length]
  if (how === 'add' || name === undefined) object.extra = other
  else if (how === 'replace') object[name] = other
  else {
    const old = object[name]
    delete object[name]
    if (how === 'move') object[name] = old
  }
  return value
}).filter(value => !holdsNumericObject(value))

/** A session in packed form as docs/values.md has it, and where in it the lengths of its texts are. */
function packedSession({ _sessions, version }) {
  const fields = []
  const lengthsAt = []
  let texts = ''
  const varint = number => {
    for (; number > 127; number = Math.floor(number / 128)) fields.push((number % 128) | 128)
    fields.push(number)
  }
  const int = number => varint(number >= 0 ? 2 * number : -2 * number - 1)
  const text = (characters, extra = 0) => {
    lengthsAt.push(5 + fields.length)
    varint(characters.length + extra)
    texts += characters
  }
  const each = (object, write) => {
    for (const [name, value] of Object.entries(object)) {
      text(name, 1)
      write(value)
    }
    fields.push(0)
  }
  text(version)
  each(_sessions, ({ registrationId, currentRatchet: ratchet, indexInfo: index, _chains, pendingPreKey: pending }) => {
    int(registrationId)
    for (const key of [ratchet.ephemeralKeyPair.pubKey, ratchet.ephemeralKeyPair.privKey, ratchet.lastRemoteEphemeralKey]) text(key)
    int(ratchet.previousCounter)
    text(ratchet.rootKey)
    text(index.baseKey)
    for (const number of [index.baseKeyType, index.closed, index.used, index.created]) int(number)
    text(index.remoteIdentityKey)
    each(_chains, ({ chainKey, chainType, messageKeys }) => {
      int(chainType)
      int(chainKey.counter)
      if (chainKey.key === undefined) fields.push(0)
      else text(chainKey.key, 1)
      each(messageKeys, key => text(key))
    })
    if (pending === undefined) return fields.push(0)
    fields.push(pending.preKeyId === undefined ? 1 : 2)
    int(pending.signedKeyId)
    text(pending.baseKey)
    if (pending.preKeyId !== undefined) int(pending.preKeyId)
  })
  const length = Buffer.alloc(4)
  length.writeUInt32LE(fields.length)
  return { bytes: Buffer.concat([Buffer.from([TAG.SESSION]), length, Buffer.from(fields), Buffer.from(texts, 'latin1')]), lengthsAt }
}

async function realSessions(messages) {
  const info = console.info
  console.info = () => {}
  const { keyhelper, SessionRecord, SessionBuilder, SessionCipher, ProtocolAddress } = libsignal
  const sides = ['alice', 'bob'].map((name, i) => {
    const identity = keyhelper.generateIdentityKeyPair()
    const side = { identity, registrationId: keyhelper.generateRegistrationId(), preKey: keyhelper.generatePreKey(5), signedPreKey: keyhelper.generateSignedPreKey(identity, 7), stored: [] }
    side.storage = {
      // Through the codec on every step: a session that came back changed would fail to decrypt.
      loadSession: async () => (side.bytes ? SessionRecord.deserialize(decode('session', side.bytes)) : undefined),
      storeSession: async (_, record) => {
        const value = record.serialize()
        side.stored.push(value)
        side.bytes = encode('session', value)
      },
      isTrustedIdentity: () => true,
      loadPreKey: async () => side.preKey.keyPair,
      removePreKey: async () => {},
      loadSignedPreKey: () => side.signedPreKey.keyPair,
      getOurRegistrationId: () => side.registrationId,
      getOurIdentity: () => identity
    }
    side.cipher = new SessionCipher(side.storage, new ProtocolAddress(name, i))
    return side
  })
  const [alice, bob] = sides
  await new SessionBuilder(alice.storage, new ProtocolAddress('alice', 0)).initOutgoing({
    registrationId: bob.registrationId,
    identityKey: bob.identity.pubKey,
    signedPreKey: { keyId: 7, publicKey: bob.signedPreKey.keyPair.pubKey, signature: bob.signedPreKey.signature },
    preKey: { keyId: 5, publicKey: bob.preKey.keyPair.pubKey }
  })
  for (let i = 0; i < messages; i++) {
    const [from, to] = i % 2 ? [bob, alice] : [alice, bob]
    const sent = await from.cipher.encrypt(Buffer.from(`message ${i}`))
    if (i % 7 === 3) await from.cipher.encrypt(Buffer.from('lost on the way'))
    const body = Buffer.from(sent.body, 'binary')
    const received = await (sent.type === 3 ? to.cipher.decryptPreKeyWhisperMessage(body) : to.cipher.decryptWhisperMessage(body))
    assert.equal(received.toString(), `message ${i}`)
  }
  console.info = info
  return [...alice.stored, ...bob.stored]
}

// ---- against Baileys ------------------------------------------------------------------------------------
describe('values come back as from useMultiFileAuthState', () => {
  for (const family of FAMILIES.filter(name => name !== 'app-state-sync-key')) {
    test(`${family}: any value that JSON and bytes can make`, () =>
      property(anything.filter(value => value !== null && Boolean(value)), async value => {
        let expected
        try {
          expected = await throughBaileys(family, value)
        } catch {
          // BufferJSON throws on { type: 'Buffer' } without usable data; here it is an object like any other.
          encode(family, value)
          return
        }
        assert.deepStrictEqual(roundTrip(family, value), expected)
      }, 120))
  }

  test('session: real ones, at every step of a conversation over this codec', async () => {
    const sessions = await realSessions(60)
    for (const value of sessions) {
      assert.equal(encode('session', value)[0], TAG.SESSION)
      assert.deepStrictEqual(roundTrip('session', value), await throughBaileys('session', value))
    }
  })

  test('session: any of its shape takes the packed form', () =>
    property(session, async value => {
      const stored = encode('session', value)
      assert.equal(stored.toString('hex'), packedSession(value).bytes.toString('hex'))
      const back = decode('session', stored)
      assert.deepStrictEqual(back, JSON.parse(JSON.stringify(value)))
      assert.equal(JSON.stringify(back), JSON.stringify(value), 'the order of keys is kept')
    }))

  test('session: one whose texts are not all ASCII is a tree', async () => {
    const [id] = Object.keys(SAMPLES.session._sessions)
    const change = {
      version: value => (value.version = 'v\u00fc'),
      'key of an entry': value => (value._sessions = { '\u00fc': value._sessions[id] }),
      'a key that latin1 has not': value => (value._sessions[id].currentRatchet.rootKey = '\u0141\u0141'),
      'a pair of surrogates': value => (value._sessions[id].indexInfo.baseKey = '\ud83d\ude00'),
      'key of a chain': value => (value._sessions[id]._chains['\u00fc'] = value._sessions[id]._chains.c),
      'a message key': value => (value._sessions[id]._chains.c.messageKeys[9] = '\u00fc'),
      'the last text': value => (value._sessions[id].pendingPreKey.baseKey = '\u00fc')
    }
    for (const [name, make] of Object.entries(change)) {
      const value = structuredClone(SAMPLES.session)
      make(value)
      assert.equal(encode('session', value)[0], TAG.TREE, name)
      assert.deepStrictEqual(roundTrip('session', value), await throughBaileys('session', value), name)
    }
    const half = structuredClone(SAMPLES.session)
    half._sessions[id].indexInfo.baseKey = '\ud83d'
    assert.throws(() => encode('session', half, 's'), { argument: `s._sessions['${id}'].indexInfo.baseKey` })
  })

  test('session: large ones, of many texts and of long ones', () => {
    const [entry] = Object.values(SAMPLES.session._sessions)
    const messageKeys = Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [i, `key ${i}`.padEnd(44, '=')]))
    for (const chain of [{ chainKey: { counter: 3000 }, chainType: 1, messageKeys }, { chainKey: { counter: 1, key: 'k'.repeat(200_000) }, chainType: 2, messageKeys: {} }]) {
      const value = { _sessions: { base: { ...entry, _chains: { chain } } }, version: 'v1' }
      assert.equal(encode('session', value).toString('hex'), packedSession(value).bytes.toString('hex'))
      assert.deepStrictEqual(roundTrip('session', value), value)
    }
  })

  test('session: any nearly of its shape comes back too', () =>
    property(nearly(session), async value => {
      const [mine, expected] = [roundTrip('session', value), await throughBaileys('session', value)]
      assert.deepStrictEqual(mine, expected)
      assert.equal(JSON.stringify(mine), JSON.stringify(expected), 'the order of keys is kept')
    }, 300))

  test('pre-key: packed, in either order, and nearly one', async () => {
    const pair = Curve.generateKeyPair()
    for (const value of [pair, { public: pair.public, private: pair.private }, { public: new Uint8Array(33), private: Buffer.alloc(0) }]) {
      assert.equal(encode('pre-key', value)[0], TAG.KEY_PAIR)
      assert.deepStrictEqual(roundTrip('pre-key', value), await throughBaileys('pre-key', value))
      assert.deepEqual(Object.keys(roundTrip('pre-key', value)), Object.keys(value))
    }
    const arbitrary = fc.record({ public: bytes, private: bytes }, { noNullPrototype: true })
    await property(fc.oneof(arbitrary, nearly(arbitrary)), async value => {
      assert.deepStrictEqual(roundTrip('pre-key', value), await throughBaileys('pre-key', value))
    })
    const long = { public: Buffer.alloc(300, 1), private: Buffer.alloc(300, 2) }
    assert.deepStrictEqual(roundTrip('pre-key', long), long)
  })

  test('app-state-sync-version: packed, and nearly one', async () => {
    await property(ltHash, async value => {
      const stored = encode('app-state-sync-version', value)
      assert.equal(stored[0], TAG.LT_HASH)
      const back = decode('app-state-sync-version', stored)
      assert.deepStrictEqual(back, await throughBaileys('app-state-sync-version', value))
      assert.deepEqual(Object.keys(back.indexValueMap), Object.keys(value.indexValueMap))
    })
    await property(nearly(ltHash), async value => {
      assert.deepStrictEqual(roundTrip('app-state-sync-version', value), await throughBaileys('app-state-sync-version', value))
    })
  })

  test('app-state-sync-version: any number of entries, with lengths in common and without', async () => {
    const state = (count, id, mac) => ({ version: count, hash: Buffer.alloc(128, 1), indexValueMap: Object.fromEntries(Array.from({ length: count }, (_, i) => [id(i), { valueMac: mac(i) }])) })
    const base64 = i => Buffer.alloc(32, `${i}`.padStart(8, 'x')).toString('base64')
    for (const count of [0, 1, 2, 63, 64, 65, 128, 1000]) {
      for (const value of [
        state(count, base64, i => Buffer.alloc(32, i)),
        state(count, base64, i => Buffer.alloc(i % 50, i)),
        state(count, base64, () => Buffer.alloc(0)),
        state(count, base64, i => Buffer.alloc(3000, i)),
        state(count, i => 'k'.repeat(i), i => Buffer.alloc(32, i)),
        state(count, i => String(i), i => Buffer.alloc(32, i))
      ]) {
        const stored = encode('app-state-sync-version', value)
        assert.equal(stored[0], TAG.LT_HASH)
        const back = decode('app-state-sync-version', stored)
        assert.deepStrictEqual(back, value)
        assert.deepEqual(Object.keys(back.indexValueMap), Object.keys(value.indexValueMap))
      }
      const tree = state(count, i => (i === count - 1 ? `\u00fc${i}` : base64(i)), i => Buffer.alloc(32, i))
      assert.equal(encode('app-state-sync-version', tree)[0], count === 0 ? TAG.LT_HASH : TAG.TREE)
      assert.deepStrictEqual(roundTrip('app-state-sync-version', tree), tree)
    }
  })

  test('numbers at the limits of the packed forms', () => {
    for (const version of [0, -0, 63, 64, -1, 2 ** 52, 2 ** 52 + 1, 2 ** 53 - 1, -(2 ** 52), -(2 ** 52) - 1, -(2 ** 53) + 1, 0.5, -1.5, 1e300]) {
      const value = { version, hash: Buffer.alloc(1), indexValueMap: {} }
      const isPacked = Number.isInteger(version) && Math.abs(version) <= 2 ** 52
      assert.equal(encode('app-state-sync-version', value)[0], isPacked ? TAG.LT_HASH : TAG.TREE)
      assert.deepStrictEqual(roundTrip('app-state-sync-version', value), { ...value, version: version + 0 })
    }
  })

  test('creds: fresh ones, and with an account as pairing leaves it', async () => {
    const path = join(folder, 'creds')
    const { state, saveCreds } = await useMultiFileAuthState(path)
    Object.assign(state.creds, {
      me: { id: '123:4@s.whatsapp.net', name: '\u00fcser \ud83d\ude00', lid: undefined },
      account: proto.ADVSignedDeviceIdentity.create({ details: Buffer.from('details'), accountSignature: Buffer.alloc(64, 3) }),
      signalIdentities: [{ identifier: { name: '123', deviceId: 0 }, identifierKey: Buffer.alloc(33, 5) }],
      routingInfo: new Uint8Array([1, 2, 3]),
      lastAccountSyncTimestamp: 1700000000
    })
    await saveCreds()
    const reopened = (await useMultiFileAuthState(path)).state.creds
    assert.deepStrictEqual(roundTrip('creds', state.creds), reopened)
    const fresh = initAuthCreds()
    assert.deepStrictEqual(roundTrip('creds', fresh), JSON.parse(JSON.stringify(fresh, BufferJSON.replacer), BufferJSON.reviver))
  })

  test('an object in the JSON form of a Buffer becomes the bytes that BufferJSON makes of it', async () => {
    for (const data of ['AQID', 'gr\u00fcn', [1, 2, 300, -1, 1.9], [], new Uint8Array([7, 8]), Buffer.from('x')]) {
      for (const value of [{ a: { type: 'Buffer', data } }, { a: { data, more: 1, type: 'Buffer' } }, { type: 'Buffer', data }]) {
        assert.deepStrictEqual(roundTrip('tctoken', value), await throughBaileys('tctoken', value))
      }
    }
    assert.deepStrictEqual(roundTrip('tctoken', { type: 'Buffer', data: '' }), Buffer.alloc(0))
    assert.deepStrictEqual(roundTrip('tctoken', { type: 'Buffer', data: 5 }), { type: 'Buffer', data: 5 })
    assert.deepStrictEqual(roundTrip('tctoken', { type: 'Other', data: 'x' }), { type: 'Other', data: 'x' })
  })

  test('a class instance, toJSON and objects of another context come back as from JSON', async () => {
    class Plain {
      constructor() {
        this.own = 1
        this.gone = undefined
        Object.defineProperty(this, 'hidden', { value: 2, enumerable: false })
        this[Symbol('s')] = 3
      }
      get inherited() {
        return 4
      }
    }
    const keys = []
    class Converted {
      constructor(result) {
        Object.defineProperty(this, 'toJSON', { value: name => (keys.push(name), result) })
      }
    }
    const value = {
      plain: new Plain(),
      converted: new Converted({ inner: new Plain() }),
      bytes: new Converted(new Uint8Array([1])),
      list: [new Converted([1, 'x']), new Converted('text'), new Converted(null)],
      dropped: new Converted(undefined),
      again: new Converted(new Converted({ deep: 1 })),
      foreign: vm.runInNewContext('({ a: [1, { b: null }], c: new Uint8Array([1, 2]) })'),
      bare: Object.assign(Object.create(null), { z: 1 })
    }
    const mine = roundTrip('other', value)
    assert.deepStrictEqual(keys.splice(0), ['converted', 'bytes', '0', '1', '2', 'dropped', 'again'])
    // Baileys knows no bytes of another context.
    assert.deepStrictEqual(mine.foreign.c, Buffer.from([1, 2]))
    delete mine.foreign
    delete value.foreign
    assert.deepStrictEqual(mine, await throughBaileys('other', value))
    keys.length = 0
    roundTrip('other', new Converted(1))
    assert.deepStrictEqual(keys, [''])
  })
})

describe('improvements over useMultiFileAuthState', () => {
  for (const family of [...FAMILIES, 'creds']) {
    test(`${family}: empty string, 0 and false are values`, () => {
      for (const value of ['', 0, false]) assert.strictEqual(roundTrip(family, value, WITH_PROTO), value)
    })
  }

  test('objects with numeric keys stay objects', () => {
    for (const value of [{ 0: 1, 1: 2 }, { '12@lid': 3 }, { a: { 5: 0 } }, { _sessions: { 1: 2 }, version: 'v1' }]) {
      for (const family of FAMILIES.filter(name => name !== 'app-state-sync-key')) assert.deepStrictEqual(roundTrip(family, value), value)
    }
  })
})

// ---- app state sync keys --------------------------------------------------------------------------------
describe('app-state-sync-key', () => {
  const uint32 = fc.nat(2 ** 32 - 1)
  const timestamp = fc.oneof(
    fc.maxSafeInteger(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n }).map(String),
    fc.bigInt({ min: -(2n ** 90n), max: 2n ** 90n }).map(String),
    fc.record({ low: fc.integer(), high: fc.integer(), unsigned: fc.boolean() }),
    fc.tuple(fc.integer(), fc.integer()).map(([low, high]) => AppStateSyncKeyData.create({ timestamp: { low, high, unsigned: false } }).timestamp),
    fc.constantFrom('', '-', 'NaN', '-Infinity', '--Infinity', '1e3', '12.7', 'abc', '--5', '5-5', ' 7', '123456789x12', true, [], {})
  )
  const keyData = fc.oneof(
    bytes,
    bytes.map(array => Buffer.from(array).toString('base64')),
    bytes.map(array => Buffer.from(array).toString('base64').replace(/=+$/, '')),
    bytes.map(array => ({ ...array })),
    fc.constantFrom('', 'a', '*', 'AQ=', 'A==B', '\u00fc', [1, 2], 5, true, {}, { length: 3 }, null)
  )
  const fingerprint = fc.oneof(
    fc.record({ rawId: fc.oneof(uint32, fc.integer(), fc.constantFrom('7', null, {}, { valueOf: 1, toString: 1 })), currentIndex: uint32, deviceIndexes: fc.oneof(fc.array(uint32), fc.constantFrom(null, 0, 'x', {}, ['3', null, -1])) }, { requiredKeys: [], noNullPrototype: true }),
    fc.constantFrom(null, 5, 'x', [], {})
  )
  const plain = fc.record({ keyData, fingerprint, timestamp, other: anything }, { requiredKeys: [], noNullPrototype: true })

  /** The same without prototypes. */
  function bare(message) {
    const { timestamp: long, ...rest } = message
    const fields = { ...rest, ...(rest.fingerprint ? { fingerprint: { ...rest.fingerprint } } : {}) }
    return long === undefined || !Object.hasOwn(message, 'timestamp') ? fields : { ...fields, timestamp: { low: long.low, high: long.high, unsigned: long.unsigned } }
  }
  /** protobuf fills up a base64 text of odd form with memory that was never set: not to be compared. */
  const isUnset = value => typeof value?.keyData === 'string' && /^[^=]*=.*[^=]/.test(value.keyData)

  async function compare(value) {
    let expected
    try {
      expected = await throughBaileys('app-state-sync-key', value)
    } catch {
      assert.throws(() => encode('app-state-sync-key', value), { code: 'ERR_CASK_INVALID_ARGUMENT' })
      return
    }
    assert.deepStrictEqual(roundTrip('app-state-sync-key', value, WITH_PROTO), expected)
    assert.deepStrictEqual(roundTrip('app-state-sync-key', value), bare(expected))
  }

  test('messages, with the prototype by the hook and without', () =>
    property(fc.record({ keyData: bytes, fingerprint: fc.record({ rawId: uint32, currentIndex: uint32, deviceIndexes: fc.array(uint32) }, { noNullPrototype: true }), timestamp: fc.maxSafeInteger() }, { requiredKeys: [], noNullPrototype: true }), async fields => {
      await compare(AppStateSyncKeyData.fromObject(fields))
      await compare(AppStateSyncKeyData.create(fields))
      await compare(AppStateSyncKeyData.decode(AppStateSyncKeyData.encode(AppStateSyncKeyData.fromObject(fields)).finish()))
    }))

  test('objects of any form, refused where Baileys could not read them back', () => property(plain.filter(value => !isUnset(value)), compare, 1500))

  test('anything else under this family is an empty message, as from Baileys', async () => {
    for (const value of ['text', 5, true, [], [1], Buffer.from('x'), { 0: 1 }]) await compare(value)
  })

  test('bytes are Buffers and longs are plain without the hook', () => {
    const back = roundTrip('app-state-sync-key', { keyData: 'AQID', fingerprint: { rawId: 7 }, timestamp: '1700000000123' })
    assert.deepStrictEqual(back, { keyData: Buffer.from([1, 2, 3]), fingerprint: { deviceIndexes: [], rawId: 7 }, timestamp: { low: -807049093, high: 395, unsigned: false } })
  })

  test('what cannot be read back is named', () => {
    const refused = (value, argument) => assert.throws(() => encode('app-state-sync-key', value, 'k'), { name: 'TypeError', code: 'ERR_CASK_INVALID_ARGUMENT', argument })
    refused({ keyData: 'a' }, 'k.keyData')
    refused({ keyData: 'AQ=D' }, 'k.keyData')
    refused({ fingerprint: 5 }, 'k.fingerprint')
    refused({ fingerprint: { deviceIndexes: 'x' } }, 'k.fingerprint.deviceIndexes')
    refused({ timestamp: '' }, 'k.timestamp')
    refused({ other: NaN }, 'k.other')
  })

  test('the hook sees values of this family only', () => {
    const hooks = { appStateSyncKey: () => assert.fail('called') }
    for (const family of FAMILIES.filter(name => name !== 'app-state-sync-key')) roundTrip(family, { keyData: 'AQID' }, hooks)
  })
})

// ---- refusals -------------------------------------------------------------------------------------------
describe('what could not come back unchanged is refused, with its path', () => {
  const circle = { a: { b: [] } }
  circle.a.b.push(circle.a)
  const nested = levels => {
    let value = 'bottom'
    for (let i = 0; i < levels; i++) value = i % 2 ? { x: value } : [value]
    return value
  }
  const hole = [1, 2, 3]
  delete hole[1]
  const CASES = {
    NaN: [{ a: [{ b: NaN }] }, '.a[0].b'],
    Infinity: [{ 'x y': -Infinity }, "['x y']"],
    bigint: [[1n], '[0]'],
    Map: [{ a: new Map([['secret', 1]]) }, '.a'],
    Set: [{ a: new Set(['secret']) }, '.a'],
    WeakMap: [{ a: new WeakMap() }, '.a'],
    WeakSet: [{ a: new WeakSet() }, '.a'],
    WeakRef: [{ a: new WeakRef({}) }, '.a'],
    function: [{ a: () => 'secret' }, '.a'],
    class: [{ a: class {} }, '.a'],
    symbol: [{ a: Symbol('secret') }, '.a'],
    'undefined in an array': [{ a: [1, undefined] }, '.a[1]'],
    'hole in an array': [{ a: hole }, '.a[1]'],
    undefined: [undefined, ''],
    circular: [circle, '.a.b[0]'],
    'a surrogate half in a string': [{ a: ['ok', 'secret \ud800'] }, '.a[1]'],
    'a surrogate half, alone': ['\udc00', ''],
    'a surrogate half in a long string': [{ a: 'x'.repeat(100) + '\ud800' }, '.a'],
    'a surrogate half in a key': [{ a: { 'b\ud800': 1 } }, ".a['b\\ud800']"],
    'a surrogate half in JSON form of a Buffer': [{ type: 'Buffer', data: '\ud800' }, '.data'],
    'a non-byte in JSON form of a Buffer': [{ a: { type: 'Buffer', data: [1, NaN] } }, '.a.data[1]'],
    Date: [{ a: new Date() }, '.a'],
    RegExp: [{ a: /secret/ }, '.a'],
    Uint16Array: [{ a: new Uint16Array(1) }, '.a'],
    Uint8ClampedArray: [{ a: new Uint8ClampedArray(1) }, '.a'],
    Float64Array: [{ a: new Float64Array(1) }, '.a'],
    ArrayBuffer: [{ a: new ArrayBuffer(1) }, '.a'],
    SharedArrayBuffer: [{ a: new SharedArrayBuffer(1) }, '.a'],
    DataView: [{ a: new DataView(new ArrayBuffer(1)) }, '.a'],
    Promise: [{ a: Promise.resolve('secret') }, '.a'],
    Error: [{ a: new RangeError('secret') }, '.a'],
    'boxed number': [{ a: Object(1) }, '.a'],
    'boxed string': [{ a: Object('secret') }, '.a'],
    'boxed boolean': [{ a: Object(false) }, '.a'],
    'boxed bigint': [{ a: Object(1n) }, '.a'],
    'boxed symbol': [{ a: Object(Symbol('secret')) }, '.a'],
    KeyObject: [{ a: require('node:crypto').createSecretKey(Buffer.from('secret')) }, '.a'],
    generator: [{ a: (function* () {})() }, '.a'],
    'Map of another context': [{ a: vm.runInNewContext('new Map()') }, '.a'],
    'Date from toJSON': [{ a: { toJSON: () => new Date() } }, '.a'],
    'undefined from toJSON': [{ toJSON: () => undefined }, ''],
    'too deep': [nested(101), Array.from({ length: 100 }, (_, i) => (i % 2 ? '.x' : '[0]')).join('')]
  }
  for (const [name, [value, place]] of Object.entries(CASES)) {
    test(name, () => {
      for (const family of ['other', 'session', 'pre-key', 'app-state-sync-version', 'creds']) {
        for (const path of ["session['123.0']", () => "session['123.0']"]) {
          assert.throws(() => encode(family, value, path), error => {
            assert.ok(error instanceof TypeError)
            assert.equal(error.code, 'ERR_CASK_INVALID_ARGUMENT')
            assert.equal(error.argument, `session['123.0']${place}`)
            assert.ok(error.message.startsWith(`${error.argument} cannot be stored: `))
            assert.doesNotMatch(error.message, /secret/)
            return true
          })
        }
      }
    })
  }

  test('inside the packed forms too', () => {
    const lt = { version: 1, hash: Buffer.alloc(1), indexValueMap: { 'a=': { valueMac: new Date() } } }
    assert.throws(() => encode('app-state-sync-version', lt, 'v'), { argument: "v.indexValueMap['a='].valueMac" })
    assert.throws(() => encode('pre-key', { public: Buffer.alloc(1), private: new Map() }, 'v'), { argument: 'v.private' })
    // No own keys, so a packed form that looked at keys only would store them as {}.
    assert.throws(() => encode('app-state-sync-version', { ...lt, indexValueMap: new Map() }, 'v'), { argument: 'v.indexValueMap' })
    assert.throws(() => encode('session', { _sessions: new Map(), version: 'v1' }, 'v'), { argument: 'v._sessions' })
    const converted = { _sessions: Object.create({ toJSON: () => 'converted' }), version: 'v1' }
    assert.deepStrictEqual(roundTrip('session', converted), { _sessions: 'converted', version: 'v1' })
  })

  test('the path is made only where it is needed', () => {
    encode('session', { a: 1 }, () => assert.fail('made'))
  })

  test('100 levels, shared references and a long key are no obstacle', () => {
    const value = nested(100)
    assert.deepStrictEqual(roundTrip('other', value), value)
    const shared = { x: 1 }
    assert.deepStrictEqual(roundTrip('other', [shared, { shared }, shared]), [{ x: 1 }, { shared: { x: 1 } }, { x: 1 }])
    assert.throws(() => encode('other', { ['k'.repeat(1e5) + '-']: NaN }, 'v'), error => error.message.length < 500)
  })
})

// ---- user code while encoding ---------------------------------------------------------------------------
describe('user code that runs while a value is encoded', () => {
  const sequence = (...values) => {
    let reads = 0
    const get = () => values[Math.min(reads++, values.length - 1)]
    return { get, enumerable: true, configurable: true, reads: () => reads }
  }

  test('a property is read once, and what was checked is what is stored', () => {
    const good = sequence('good', NaN)
    assert.deepStrictEqual(roundTrip('other', Object.defineProperty({}, 'a', good)), { a: 'good' })
    assert.equal(good.reads(), 1)
    const [type, data] = [sequence('Buffer', 'x'), sequence('abc', NaN)]
    assert.deepStrictEqual(roundTrip('other', Object.defineProperties({}, { type, data })), Buffer.from('abc'))
    const other = sequence('None', 'Buffer')
    assert.deepStrictEqual(roundTrip('other', Object.defineProperties({}, { type: other, data: sequence(1, NaN) })), { type: 'None', data: 1 })
    const version = sequence('v1', Symbol('no'))
    assert.deepStrictEqual(roundTrip('session', Object.defineProperty({ _sessions: {} }, 'version', version)), { _sessions: {}, version: 'v1' })
    assert.equal(version.reads(), 1)
    const mac = sequence(Buffer.from('m'), 'no bytes')
    const lt = { version: 1, hash: Buffer.alloc(0), indexValueMap: { a: Object.defineProperty({}, 'valueMac', mac) } }
    assert.deepStrictEqual(roundTrip('app-state-sync-version', lt).indexValueMap, { a: { valueMac: Buffer.from('m') } })
  })

  test('the packed forms read each property once', () => {
    for (const [family, tag] of [['session', TAG.SESSION], ['app-state-sync-version', TAG.LT_HASH], ['pre-key', TAG.KEY_PAIR]]) {
      const watched = []
      const watch = value => {
        if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value
        const object = {}
        for (const [name, item] of Object.entries(value)) {
          const property = sequence(watch(item), NaN)
          watched.push([name, property])
          Object.defineProperty(object, name, property)
        }
        return object
      }
      const stored = encode(family, watch(SAMPLES[family]))
      assert.equal(stored[0], tag)
      assert.deepStrictEqual(stored, encode(family, SAMPLES[family]))
      for (const [name, { reads }] of watched) assert.equal(reads(), 1, name)
      const shown = value => (typeof value !== 'object' || value === null || value instanceof Uint8Array
        ? value
        : new Proxy(Object.fromEntries(Object.entries(value).map(([name, item]) => [name, shown(item)])), {}))
      assert.deepStrictEqual(encode(family, shown(SAMPLES[family])), stored)
    }
  })

  test('it may make the writer grow', () => {
    const writer = new Writer(Buffer.alloc(8))
    const value = { before: 'x', get grow() {
      writer.ensure(100_000)
      return 'grown'
    }, list: [{ toJSON: () => (writer.ensure(500_000), Buffer.from('json')) }], after: 'y' }
    encodeValue(writer, OTHER_FAMILY, value, 'value')
    assert.deepStrictEqual(decodeValue(writer.buffer, 0, writer.offset, 0), { before: 'x', grow: 'grown', list: [Buffer.from('json')], after: 'y' })
  })

  test('it may encode other values', () => {
    const value = { get a() {
      return roundTrip('session', { inner: [1, 'two'] })
    } }
    assert.deepStrictEqual(roundTrip('other', value), { a: { inner: [1, 'two'] } })
  })

  test('its own errors pass through', () => {
    const error = new Error('mine')
    assert.throws(() => encode('session', { get a() { throw error } }), thrown => thrown === error)
  })

  test('a proxy counts as what it shows', () => {
    const value = new Proxy({ a: [1, 2] }, {})
    assert.deepStrictEqual(roundTrip('other', value), { a: [1, 2] })
    const array = new Proxy([1, 2, 3], { get: (target, name) => (name === 'length' ? 2 : target[name]) })
    assert.deepStrictEqual(roundTrip('other', array), [1, 2])
  })

  test('a length that lies reaches no memory', () => {
    class Liar extends Uint8Array {
      get length() {
        return 1000
      }
    }
    // Few bytes are copied by a loop, many by a call.
    for (const size of [2, 40]) {
      const mac = new Liar(size).fill(7)
      const real = Buffer.alloc(size, 7)
      for (const family of ['other', 'pre-key', 'app-state-sync-version']) {
        assert.deepStrictEqual(roundTrip(family, mac), real)
        assert.deepStrictEqual(roundTrip(family, { public: mac, private: mac }), { public: real, private: real })
        const lt = { version: 1, hash: mac, indexValueMap: { a: { valueMac: mac } } }
        assert.deepStrictEqual(roundTrip(family, lt), { version: 1, hash: real, indexValueMap: { a: { valueMac: real } } })
      }
    }
  })

  test('bytes whose length it changes after they were read are stored as they are in the end', () => {
    const resizable = new ArrayBuffer(40, { maxByteLength: 80 })
    const detached = new ArrayBuffer(40)
    const last = { get valueMac() {
      resizable.resize(80)
      structuredClone(detached, { transfer: [detached] })
      return Buffer.from('m')
    } }
    const state = { version: 1, hash: Buffer.alloc(0), indexValueMap: { a: { valueMac: new Uint8Array(resizable) }, b: { valueMac: new Uint8Array(detached) }, last } }
    const stored = encode('app-state-sync-version', state)
    assert.equal(stored[0], TAG.LT_HASH)
    assert.deepStrictEqual(decode('app-state-sync-version', stored).indexValueMap, { a: { valueMac: Buffer.alloc(80) }, b: { valueMac: Buffer.alloc(0) }, last: { valueMac: Buffer.from('m') } })
  })
})

// ---- memory ---------------------------------------------------------------------------------------------
const SAMPLES = {
  session: { _sessions: { 'B/+=': { registrationId: 5, currentRatchet: { ephemeralKeyPair: { pubKey: 'p', privKey: 'q' }, lastRemoteEphemeralKey: 'r', previousCounter: 0, rootKey: 's' }, indexInfo: { baseKey: 't', baseKeyType: 1, closed: -1, used: 1700000000000, created: 1, remoteIdentityKey: 'u' }, _chains: { c: { chainKey: { counter: 1, key: 'k' }, chainType: 1, messageKeys: { 3: 'm' } }, d: { chainKey: { counter: 2 }, chainType: 2, messageKeys: {} } }, pendingPreKey: { signedKeyId: 1, baseKey: 'b', preKeyId: 2 } } }, version: 'v1' },
  'pre-key': { private: Buffer.alloc(32, 1), public: Buffer.alloc(32, 2) },
  'app-state-sync-version': { version: 300, hash: Buffer.alloc(128, 3), indexValueMap: { a: { valueMac: Buffer.alloc(32, 4) }, b: { valueMac: Buffer.alloc(64, 5) } } },
  'app-state-sync-key': { keyData: Buffer.alloc(32, 6), fingerprint: { rawId: 1, currentIndex: 2, deviceIndexes: [0, 1] }, timestamp: { low: 1, high: 0, unsigned: false } },
  'sender-key': Buffer.alloc(300, 7),
  'identity-key': Buffer.alloc(33, 8),
  'lid-mapping': 'gr\u00fcn',
  'device-list': ['0', '12', 'x'.repeat(60)],
  other: { a: [1, -200, 1.5, null, true, false, 'text', '\u00fc', { '\u00fc': Buffer.alloc(100, 9), ['__proto__']: { polluted: true } }], b: Buffer.from('x') }
}

function bytesIn(value) {
  return value instanceof Uint8Array ? [value] : typeof value === 'object' && value !== null ? Object.values(value).flatMap(bytesIn) : []
}

describe('no memory is shared', () => {
  for (const [family, sample] of Object.entries(SAMPLES)) {
    test(family, () => {
      const input = structuredClone(sample)
      const stored = encode(family, input)
      const untouched = Buffer.from(stored)
      for (const array of bytesIn(input)) array.fill(0xee)
      for (const object of objectsIn(input)) for (const name of Object.keys(object)) object[name] = null
      assert.deepEqual(stored, untouched)

      const [first, second] = [decode(family, stored), decode(family, stored)]
      assert.deepEqual(first, sample)
      stored.fill(0xdd)
      for (const array of bytesIn(second)) array.fill(0xcc)
      for (const object of objectsIn(second)) for (const name of Object.keys(object)) if (!(object[name] instanceof Uint8Array)) object[name] = null
      assert.deepEqual(first, sample)
      for (const array of bytesIn(first)) assert.ok(Buffer.isBuffer(array) && !array.equals(Buffer.alloc(array.length, 0xcc)))
    })
  }
})

test('a key of an LTHash state keeps none of the others in memory', () => {
  const used = () => {
    collectGarbage()
    return process.memoryUsage().heapUsed
  }
  const kept = []
  const before = used()
  for (let i = 0; i < 100; i++) {
    const short = `key ${i} `.padEnd(44, '=')
    const indexValueMap = { [`${i} `.padEnd(300_000, 'x')]: { valueMac: Buffer.alloc(1) }, [short]: { valueMac: Buffer.alloc(1) } }
    const back = roundTrip('app-state-sync-version', { version: 1, hash: Buffer.alloc(0), indexValueMap })
    kept.push(Object.keys(back.indexValueMap).at(-1))
  }
  assert.ok(used() - before < 5_000_000)
  assert.ok(kept.every(key => key.length === 44))
})

describe('hostile keys', () => {
  test('__proto__ and the like are keys like any other', () => {
    for (const name of ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'valueOf', '', '\u0000', 'x'.repeat(5000), '\ud83d\ude00']) {
      const make = value => Object.defineProperty({}, name, { value, enumerable: true, writable: true, configurable: true })
      const chain = { chainKey: { counter: 1 }, chainType: 1, messageKeys: make('key') }
      const entry = { ...Object.values(SAMPLES.session._sessions)[0], _chains: make(chain) }
      const VALUES = { other: make({ polluted: 1 }), session: { _sessions: make(entry), version: 'v1' }, 'app-state-sync-version': { version: 1, hash: Buffer.alloc(0), indexValueMap: make({ valueMac: Buffer.alloc(1) }) } }
      for (const [family, value] of Object.entries(VALUES)) assert.deepStrictEqual(roundTrip(family, value), value, name)
    }
    assert.equal({}.polluted, undefined)
  })
})

// ---- properties that are not a value's own --------------------------------------------------------------
describe('properties that somebody added to Object.prototype are in no value', () => {
  /** Runs `work` while `Object.prototype` has an enumerable property. */
  function polluted(name, value, work) {
    Object.defineProperty(Object.prototype, name, { value, enumerable: true, configurable: true, writable: true })
    try {
      return work()
    } finally {
      delete Object.prototype[name]
    }
  }

  const EMPTY = { session: { _sessions: {}, version: 'v1' }, 'app-state-sync-version': { version: 1, hash: Buffer.alloc(1), indexValueMap: {} } }
  for (const [family, tag] of [['session', TAG.SESSION], ['app-state-sync-version', TAG.LT_HASH], ['pre-key', TAG.KEY_PAIR]]) {
    for (const [what, sample] of [['one', SAMPLES[family]], ['an empty one', EMPTY[family]]]) {
      if (sample === undefined) continue
      test(`${family}: ${what} that lacks the property`, () => {
        const packed = encode(family, sample)
        assert.equal(packed[0], tag)
        for (const [at, { length }] of objectsIn(sample).map(Object.keys).entries()) {
          for (let which = 0; which < length; which++) {
            const value = decode(family, packed)
            const object = objectsIn(value)[at]
            const name = Object.keys(object)[which]
            const moved = object[name]
            delete object[name]
            const stored = polluted(name, moved, () => encode(family, value))
            assert.deepStrictEqual(decode(family, stored), value, `${at} ${name}`)
          }
        }
      })

      test(`${family}: ${what} that is complete`, () => {
        for (const name of ['extra', '7', 'a']) {
          const stored = polluted(name, 'not its own', () => encode(family, sample))
          assert.deepStrictEqual(decode(family, stored), sample)
        }
      })
    }
  }

  test('session: one that appears when something is read, and is gone when it is read itself', () => {
    const [entry] = Object.values(SAMPLES.session._sessions)
    const { c: chain } = entry._chains
    // What is read last before the names of an empty object are.
    const { pendingPreKey, ...base } = entry
    const places = {
      'an entry': [{}, value => value, 'version', entry],
      'a chain': [{ base: { ...base, _chains: {} } }, value => value._sessions.base.indexInfo, 'remoteIdentityKey', chain],
      'a message key': [{ base: { ...base, _chains: { chain } } }, value => value._sessions.base._chains.chain.chainKey, 'key', 'not its own']
    }
    for (const [what, [_sessions, place, name, inherited]] of Object.entries(places)) {
      const value = structuredClone({ _sessions, version: 'v1' })
      const expected = structuredClone(value)
      const object = place(value)
      const old = object[name]
      const appear = () => Object.defineProperty(Object.prototype, 'extra', { enumerable: true, configurable: true, get: () => (delete Object.prototype.extra, inherited) })
      Object.defineProperty(object, name, { enumerable: true, get: () => (appear(), old) })
      let stored
      try {
        stored = encode('session', value)
      } finally {
        delete Object.prototype.extra
      }
      assert.deepStrictEqual(decode('session', stored), expected, what)
    }
  })
})

// ---- damaged bytes --------------------------------------------------------------------------------------
describe('damaged bytes give a value or ERR_CASK_CORRUPT', () => {
  const names = Object.getOwnPropertyNames(Object.prototype)
  function decodeDamaged(bytes) {
    let value
    try {
      value = decode('other', bytes)
    } catch (error) {
      assert.equal(error.code, 'ERR_CASK_CORRUPT', error.stack)
      assert.ok(error instanceof Error)
    }
    assert.deepEqual(Object.getOwnPropertyNames(Object.prototype), names)
    assert.equal({}.polluted, undefined)
    return value
  }

  test('cut off anywhere', () => {
    for (const [family, sample] of Object.entries(SAMPLES)) {
      const stored = encode(family, sample)
      const isOpenEnded = [TAG.BYTES, TAG.ASCII, TAG.UTF8, TAG.KEY_PAIR].includes(stored[0])
      for (let length = 0; length < stored.length; length++) {
        const value = decodeDamaged(stored.subarray(0, length))
        if (!isOpenEnded || length === 0) assert.equal(value, undefined, `${family} cut to ${length}`)
      }
      assert.ok(isOpenEnded || decodeDamaged(Buffer.concat([stored, Buffer.alloc(1)])) === undefined, `${family} with a byte too many`)
    }
  })

  test('any one byte changed', () => {
    for (const [family, sample] of Object.entries(SAMPLES)) {
      const stored = encode(family, sample)
      for (let at = 0; at < stored.length; at++) {
        for (const change of [1, 2, 4, 8, 16, 32, 64, 128, 255]) {
          const damaged = Buffer.from(stored)
          damaged[at] ^= change
          decodeDamaged(damaged)
        }
      }
    }
  })

  test('random bytes under every tag', () => {
    fc.assert(fc.property(fc.constantFrom(...Object.values(TAG), 0, 99, 255), fc.uint8Array({ maxLength: 200 }), (tag, rest) => {
      decodeDamaged(Buffer.from([tag, ...rest]))
    }), { numRuns: 3000 })
  })

  test('counts and lengths that reach beyond the end allocate nothing', () => {
    const huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]
    const CASES = [[TAG.TREE, 5, ...huge], [TAG.TREE, 6, ...huge], [TAG.TREE, 7, ...huge], [TAG.TREE, 8, ...huge], [TAG.TREE, 9, ...huge], [TAG.KEY_PAIR, 0, 255], [TAG.LT_HASH, 0, ...huge], [TAG.LT_HASH, 0, 0, ...huge], [TAG.SESSION, 0, ...huge], [TAG.SESSION, ...huge], [TAG.TREE, 5, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255]]
    for (const bytes of CASES) assert.equal(decodeDamaged(Buffer.from(bytes)), undefined)
  })

  test('a session whose columns do not fit each other', () => {
    const { bytes: stored, lengthsAt } = packedSession(SAMPLES.session)
    assert.deepStrictEqual(decode('session', stored), SAMPLES.session)
    const refused = (bytes, what) => assert.equal(decodeDamaged(bytes), undefined, what)
    for (const at of lengthsAt) {
      for (const change of [-1, 1, 100]) {
        const damaged = Buffer.from(stored)
        damaged[at] += change
        refused(damaged, `a length at ${at} changed by ${change}`)
      }
    }
    const fieldsLength = stored.readUInt32LE(1)
    for (const length of [...Array(stored.length + 5).keys(), 2 ** 31, 2 ** 32 - 1].filter(length => length !== fieldsLength)) {
      const damaged = Buffer.from(stored)
      damaged.writeUInt32LE(length, 1)
      refused(damaged, `${length} bytes of fields`)
    }
    const textsAt = 5 + fieldsLength
    for (let length = textsAt; length < stored.length; length++) refused(stored.subarray(0, length), 'texts too short')
    refused(Buffer.concat([stored, Buffer.from('x')]), 'texts too long')
    refused(Buffer.concat([stored.subarray(0, textsAt), Buffer.from([0]), stored.subarray(textsAt)]), 'texts too long')
    const longer = Buffer.concat([stored.subarray(0, textsAt), Buffer.from([0]), stored.subarray(textsAt)])
    longer.writeUInt32LE(fieldsLength + 1, 1)
    refused(longer, 'fields too long')
    // A byte that is no ASCII is one character, not the start of several: it cannot move what follows.
    const damaged = Buffer.from(stored)
    damaged[stored.length - 1] = 0xc3
    const expected = structuredClone(SAMPLES.session)
    Object.values(expected._sessions)[0].pendingPreKey.baseKey = '\u00c3'
    assert.deepStrictEqual(decodeDamaged(damaged), expected)
  })

  test('an LTHash state whose columns do not fit each other', () => {
    const huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]
    const head = [TAG.LT_HASH, 0, 0]
    const CASES = {
      'good: common lengths': [...head, 2, 1, 2, 97, 98, 1, 2, 3, 4],
      'good: each its own': [...head, 2, 0, 0, 2, 0, 3, 1, 97, 98, 1, 2, 3, 4],
      'a common length of ids too large': [...head, 2, 2, 2, 97, 98, 1, 2, 3, 4],
      'a common length of ids that is huge': [...head, 2, ...huge, 2, 97, 98, 1, 2, 3, 4],
      'a common length of macs too large': [...head, 2, 1, 3, 97, 98, 1, 2, 3, 4],
      'a common length of macs too small': [...head, 2, 1, 1, 97, 98, 1, 2, 3, 4],
      'one length of ids too large': [...head, 2, 0, 0, 9, 0, 3, 1, 97, 98, 1, 2, 3, 4],
      'one length of ids too small': [...head, 2, 0, 0, 1, 0, 3, 1, 97, 98, 1, 2, 3, 4],
      'one length of ids that is huge': [...head, 2, 0, 0, ...huge, 0, 3, 1, 97, 98, 1, 2, 3, 4],
      'one length of macs too large': [...head, 2, 0, 0, 2, 0, 4, 1, 97, 98, 1, 2, 3, 4],
      'one length of macs too small': [...head, 2, 0, 0, 2, 0, 2, 1, 97, 98, 1, 2, 3, 4],
      'one length of macs that is huge': [...head, 2, 0, 0, 2, 0, ...huge, 1, 97, 98, 1, 2, 3, 4],
      'more lengths than bytes': [...head, 99, 0, 0, 2, 0, 3, 1, 97, 98, 1, 2, 3, 4],
      'a count that is huge, of empty ids': [...head, ...huge, 0, 0, 0, 0],
      'a count that is huge, of ids with a common length': [...head, ...huge, 1, 0, 0],
      'a count that is huge, of macs with a common length': [...head, ...huge, 0, 1, 0],
      'bytes where there are no entries': [...head, 0, 0, 0]
    }
    for (const [name, bytes] of Object.entries(CASES)) {
      const value = decodeDamaged(Buffer.from(bytes))
      assert.equal(value !== undefined, name.startsWith('good'), name)
      if (value === undefined) continue
      for (let length = 0; length < bytes.length; length++) assert.equal(decodeDamaged(Buffer.from(bytes.slice(0, length))), undefined, `${name}, cut to ${length}`)
      assert.equal(decodeDamaged(Buffer.from([...bytes, 0])), undefined)
    }
  })

  test('nesting without end, a number that is not finite, text that is not UTF-8, unknown marks', () => {
    const nan = Buffer.alloc(8)
    nan.writeDoubleLE(NaN)
    const CASES = [[TAG.TREE, ...Array(100_000).fill([8, 1]).flat()], [TAG.TREE, ...Array(100_000).fill([9, 1]).flat()], [TAG.TREE, 4, ...nan], [TAG.UTF8, 0xff], [TAG.TREE, 6, 1, 0xc3], [TAG.TREE, 10], [0], [TAG.KEY_PAIR, 2, 0], [TAG.TREE, 0, 0]]
    for (const bytes of CASES) assert.equal(decodeDamaged(Buffer.from(bytes)), undefined)
  })

  test('a range inside a larger buffer is all that is read', () => {
    const stored = encode('session', SAMPLES.session)
    const larger = Buffer.concat([Buffer.alloc(7, 0xff), stored, Buffer.alloc(7, 0xff)])
    assert.deepStrictEqual(decodeValue(larger, 7, 7 + stored.length, 2), SAMPLES.session)
    assert.throws(() => decodeValue(larger, 7, 7, 2), { code: 'ERR_CASK_CORRUPT' })
    assert.throws(() => decodeValue(larger, 7, larger.length + 1, 2), { code: 'ERR_CASK_CORRUPT' })
  })
})

// ---- format ---------------------------------------------------------------------------------------------
describe('the format on disk', () => {
  // Written by hand from docs/values.md. A change here is a change of the format.
  const VECTORS = [
    ['sender-key', Buffer.from([1, 2, 255]), '01 0102ff'],
    ['lid-mapping', '123@lid', '02 313233406c6964'],
    ['lid-mapping', '\u00fc', '03 c3bc'],
    ['pre-key', { public: Buffer.from([1]), private: Buffer.from([2, 3]) }, '04 00 01 01 0203'],
    ['pre-key', { private: Buffer.from([2, 3]), public: Buffer.from([1]) }, '04 01 02 0203 01'],
    ['app-state-sync-version', { version: 200, hash: Buffer.from([9]), indexValueMap: { 'A=': { valueMac: Buffer.from([7, 8]) } } }, '05 9003 01 09 01 02 02 413d 0708'],
    ['app-state-sync-version', { version: 1, hash: Buffer.alloc(0), indexValueMap: { a: { valueMac: Buffer.from([4]) }, bc: { valueMac: Buffer.alloc(0) } } }, '05 02 00 02 00 01 02 00 01 00 616263 04'],
    ['app-state-sync-version', { version: 0, hash: Buffer.alloc(0), indexValueMap: {} }, '05 00 00 00'],
    ['device-list', ['0', '1'], '06 08 02 050130 050131'],
    ['tctoken', { token: Buffer.from([5]), '\u00fc': '\u00fc' }, '06 09 0b746f6b656e 0701 05 06c3bc 0602c3bc 00'],
    ['other', [null, false, true, 0, 127, 128, -1, 0.5], '06 08 08 00 01 02 80 ff 0380000000 03ffffffff 04000000000000e03f'],
    ['session', { _sessions: {}, version: 'v1' }, '07 02000000 02 00 7631'],
    ['session', SAMPLES.session, `07 25000000 02 05 0a 01 01 01 00 01 01 02 01 80a0abfef962 02 01
      02 02 02 02 02 01 00  02 04 04 00 00  00 02 02 01 04 00
      7631 422f2b3d 70 71 72 73 74 75 63 6b 33 6d 64 62`]
  ]
  for (const [family, value, hex] of VECTORS) {
    test(`${family} ${hex.slice(0, 2)}`, () => {
      const bytes = Buffer.from(hex.replace(/\s/g, ''), 'hex')
      assert.equal(encode(family, value).toString('hex'), bytes.toString('hex'))
      assert.deepStrictEqual(decode(family, bytes), value)
    })
  }

  test('the family is not needed to decode', () => {
    for (const [family, sample] of Object.entries(SAMPLES)) {
      const stored = encode(family, sample)
      for (const other of FAMILIES) assert.deepEqual(decode(other, stored), sample)
    }
  })

  test('family codes', () => {
    const codes = ['pre-key', 'session', 'sender-key', 'sender-key-memory', 'app-state-sync-key', 'app-state-sync-version', 'lid-mapping', 'device-list', 'tctoken', 'identity-key']
    codes.forEach((name, i) => {
      assert.equal(FAMILY_CODES.get(name), i + 1)
      assert.equal(FAMILY_NAMES.get(i + 1), name)
    })
    assert.equal(FAMILY_CODES.size, 10)
    assert.equal(OTHER_FAMILY, 0)
    assert.equal(CREDS, 255)
  })
})

describe('Writer', () => {
  test('grows by at least doubling and keeps what it holds', () => {
    const writer = new Writer(Buffer.alloc(4))
    writer.u32(0x01020304)
    writer.ensure(1)
    assert.ok(writer.buffer.length >= 8)
    writer.ensure(1000)
    assert.ok(writer.buffer.length >= 1004)
    writer.u16(0x0506)
    assert.equal(writer.buffer.subarray(0, writer.offset).toString('hex'), '040302010605')
    const full = new Writer(Buffer.alloc(0))
    for (let i = 0; i < 1000; i++) full.u8(i)
    assert.equal(full.offset, 1000)
  })

  test('encodes at any offset into any free room', () => {
    for (let room = 0; room < 120; room++) {
      const writer = new Writer(Buffer.alloc(room + 3))
      writer.offset = 3
      for (const [family, sample] of Object.entries(SAMPLES)) {
        const start = writer.offset
        encodeValue(writer, codeOf(family), sample, 'value')
        assert.deepEqual(decodeValue(writer.buffer, start, writer.offset, codeOf(family)), sample)
      }
    }
  })
})
