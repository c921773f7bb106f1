import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { openCask } from '../index.mjs'

const require = createRequire(import.meta.url)
const { encodeValue } = require('../js/codec/encode.js')
const { decodeValue } = require('../js/codec/decode.js')
const { Writer } = require('../js/codec/writer.js')

const SESSION = 2

function session(seed, chains = 3) {
  const text = (name) => `${name}+${seed}`.padEnd(44, '=')
  return {
    _sessions: {
      [text('base')]: {
        registrationId: seed,
        currentRatchet: {
          ephemeralKeyPair: { pubKey: text('pub'), privKey: text('priv') },
          lastRemoteEphemeralKey: text('remote'),
          previousCounter: 1,
          rootKey: text('root')
        },
        indexInfo: { baseKey: text('base'), baseKeyType: 1, closed: -1, used: 2, created: 3, remoteIdentityKey: text('identity') },
        _chains: Object.fromEntries(Array.from({ length: chains }, (_, i) => [
          text(`chain${i}`), { chainKey: { counter: i, key: text(`key${i}`) }, chainType: 2, messageKeys: { 7: text('skipped') } }
        ]))
      }
    },
    version: 'v1'
  }
}

function encoded(value) {
  const writer = new Writer(Buffer.alloc(16))
  encodeValue(writer, SESSION, value, 'session')
  return Buffer.from(writer.buffer.subarray(0, writer.offset))
}

const decode = (bytes) => decodeValue(bytes, 0, bytes.length, SESSION, {})

function mutateDeeply(value) {
  for (const key of Object.keys(value)) {
    if (typeof value[key] === 'object' && value[key] !== null) mutateDeeply(value[key])
    else value[key] = 'changed'
    value[`added to ${key}`] = true
  }
}

/** Encodes as a transaction does, which remembers the fields for the next read. */
function written(value) {
  const writer = new Writer(Buffer.alloc(16))
  writer.isOfTransaction = true
  encodeValue(writer, SESSION, value, 'session')
  return Buffer.from(writer.buffer.subarray(0, writer.offset))
}

const FORMS = {
  'as it comes': () => {},
  'without chains': (entry) => { entry._chains = {} },
  'with a chain that is used up': (entry) => { delete Object.values(entry._chains)[0].chainKey.key },
  'with a chain whose key is undefined': (entry) => { Object.values(entry._chains)[1].chainKey.key = undefined },
  'without skipped messages': (entry) => { for (const chain of Object.values(entry._chains)) chain.messageKeys = {} },
  'with a pre-key that waits': (entry) => { entry.pendingPreKey = { signedKeyId: 5, baseKey: 'base', preKeyId: 9 } },
  'with one that has no id': (entry) => { entry.pendingPreKey = { signedKeyId: 5, baseKey: 'base' } },
  'with a negative zero': (entry) => { entry.indexInfo.closed = -0 },
  'with empty texts': (entry) => { entry.currentRatchet.rootKey = '' }
}

for (const [form, change] of Object.entries(FORMS)) {
  test(`a session written in a transaction is read as one that was not: ${form}`, () => {
    const value = session(`${form} `.length)
    change(Object.values(value._sessions)[0])
    const bytes = written(value)
    assert.deepEqual(bytes, encoded(value), 'the bytes')
    const read = decode(bytes)
    // JSON says what a session keeps: no undefined, no negative zero.
    assert.deepStrictEqual(read, JSON.parse(JSON.stringify(value)))
    mutateDeeply(read)
    assert.deepStrictEqual(decode(bytes), JSON.parse(JSON.stringify(value)), 'again')
  })
}

test('what a caller does to a session shows in no later read of the same bytes', () => {
  const bytes = encoded(session(1))
  for (let i = 0; i < 4; i++) {
    const read = decode(bytes)
    assert.deepEqual(read, session(1), `read ${i}`)
    mutateDeeply(read)
  }
})

test('sessions that differ in one character are told apart, however often they take turns', () => {
  // The same peer, so that both fall into one slot; only a number differs.
  const other = session(1)
  Object.values(other._sessions)[0].registrationId = 2
  const [a, b] = [encoded(session(1)), encoded(other)]
  assert.equal(a.length, b.length)
  for (let i = 0; i < 6; i++) {
    assert.deepEqual(decode(a), session(1))
    assert.deepEqual(decode(b), other)
  }
})

test('more sessions than are remembered come back right, in any order', () => {
  const count = 3000
  const all = Array.from({ length: count }, (_, i) => encoded(session(i, i % 5)))
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < count; i++) {
      const at = (i * 7919 + round) % count
      assert.deepEqual(decode(all[at]), session(at, at % 5))
    }
  }
})

test('a damaged session is refused, and is not remembered', () => {
  const bytes = encoded(session(5))
  assert.deepEqual(decode(bytes), session(5))
  const cut = bytes.subarray(0, bytes.length - 1)
  for (let i = 0; i < 2; i++) assert.throws(() => decode(cut), { code: 'ERR_CASK_CORRUPT' })
  const longer = Buffer.concat([bytes, Buffer.of(0)])
  for (let i = 0; i < 2; i++) assert.throws(() => decode(longer), { code: 'ERR_CASK_CORRUPT' })
  // The length of its fields leads to where it is remembered.
  for (const length of [0, 1, bytes.length, 0xffff, 0x10000 + bytes.readUInt32LE(1), 0xffffffff]) {
    const moved = Buffer.from(bytes)
    moved.writeUInt32LE(length, 1)
    for (let i = 0; i < 3; i++) assert.throws(() => decode(moved), { code: 'ERR_CASK_CORRUPT' })
  }
  assert.deepEqual(decode(bytes), session(5))
})

test('a session that was replaced is read anew, and one that comes back as well', async () => {
  const cask = await openCask()
  const { keys } = cask.account()
  for (const value of [session(1), session(2), session(1), session(2, 60)]) {
    await keys.set({ session: { peer: value } })
    for (let i = 0; i < 3; i++) assert.deepEqual(await keys.get('session', ['peer']), { peer: value })
  }
  await cask.close()
})
