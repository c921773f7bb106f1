// Compares, on this machine, the forms a value could be stored in, family by family: `node bench/codec.mjs [rounds]`.
// Candidates of one family run in turn within each round; the table shows medians, and ratios to the form that is used.
import { createRequire } from 'node:module'
import v8 from 'node:v8'
import assert from 'node:assert'
import { BufferJSON, Curve } from 'baileys'

const require = createRequire(import.meta.url)
const { Writer } = require('../js/codec/writer.js')
const { Reader } = require('../js/codec/reader.js')
const { encodeValue } = require('../js/codec/encode.js')
const { decodeValue } = require('../js/codec/decode.js')
const { encodeTree } = require('../js/codec/tree-encode.js')
const { decodeTree } = require('../js/codec/tree-decode.js')
const { decodeSession } = require('../js/codec/session-decode.js')
const { SessionReader } = require('../js/codec/session-reader.js')
const { TAG } = require('../js/codec/tags.js')
const { FAMILY_CODES } = require('../js/codec/families.js')
const libsignal = createRequire(import.meta.resolve('baileys'))('libsignal')

const rounds = Number(process.argv[2] ?? 11)
const INPUTS = 32
const MICROSECONDS_PER_ROUND = 12_000
const WARM_UP_MS = 60

/** Both sides of a conversation, without a store in between. */
function party() {
  const { keyhelper, SessionRecord } = libsignal
  const identity = keyhelper.generateIdentityKeyPair()
  const registrationId = keyhelper.generateRegistrationId()
  const preKey = keyhelper.generatePreKey(5)
  const signedPreKey = keyhelper.generateSignedPreKey(identity, 7)
  const party = { identity, registrationId, preKey, signedPreKey, session: undefined }
  party.storage = {
    loadSession: async () => (party.session ? SessionRecord.deserialize(party.session) : undefined),
    storeSession: async (_, record) => {
      party.session = structuredClone(record.serialize())
    },
    isTrustedIdentity: () => true,
    loadPreKey: async () => preKey.keyPair,
    removePreKey: async () => {},
    loadSignedPreKey: () => signedPreKey.keyPair,
    getOurRegistrationId: () => registrationId,
    getOurIdentity: () => identity
  }
  return party
}

/** A session after `messages` messages sent in turn. */
async function realSession(messages) {
  const { SessionBuilder, SessionCipher, ProtocolAddress } = libsignal
  const [alice, bob] = [party(), party()]
  const addresses = [new ProtocolAddress('bob', 0), new ProtocolAddress('alice', 0)]
  await new SessionBuilder(alice.storage, addresses[0]).initOutgoing({
    registrationId: bob.registrationId,
    identityKey: bob.identity.pubKey,
    signedPreKey: { keyId: 7, publicKey: bob.signedPreKey.keyPair.pubKey, signature: bob.signedPreKey.signature },
    preKey: { keyId: 5, publicKey: bob.preKey.keyPair.pubKey }
  })
  const ciphers = [new SessionCipher(alice.storage, addresses[0]), new SessionCipher(bob.storage, addresses[1])]
  for (let i = 0; i < messages; i++) {
    const sent = await ciphers[i % 2].encrypt(Buffer.from(`message ${i}`))
    const body = Buffer.from(sent.body, 'binary')
    const receiver = ciphers[(i + 1) % 2]
    await (sent.type === 3 ? receiver.decryptPreKeyWhisperMessage(body) : receiver.decryptWhisperMessage(body))
  }
  return alice.session
}

/** The walk without which a JSON form would store NaN, Map, lone surrogates and the like as something else. */
function check(value, depth) {
  if (typeof value === 'string') return
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new TypeError('not finite')
    return
  }
  if (value === null || typeof value === 'boolean') return
  if (typeof value !== 'object' || depth > 100) throw new TypeError('not storable')
  if (Array.isArray(value)) {
    for (const item of value) check(item, depth + 1)
    return
  }
  if (Object.getPrototypeOf(value) !== Object.prototype) throw new TypeError('exotic')
  for (const key of Object.keys(value)) if (value[key] !== undefined) check(value[key], depth + 1)
}

const writer = new Writer(Buffer.allocUnsafe(1 << 20))
const latin1 = text => {
  writer.offset = 0
  writer.ensure(text.length)
  writer.offset = writer.buffer.latin1Write(text, 0, text.length)
}

const ours = family => value => {
  writer.offset = 0
  encodeValue(writer, family, value, 'value')
}

/** encode(value) leaves the bytes in `writer`; decode(bytes) gives the value. */
const CANDIDATES = {
  'this package': family => ({
    encode: ours(family),
    // The sessions here are so few that all would be remembered, while every other form decodes anew.
    decode: bytes => (bytes[0] === TAG.SESSION ? decodeSession(new SessionReader(new Reader(bytes, 1, bytes.length))) : decodeValue(bytes, 0, bytes.length, family))
  }),
  'this package, read again': family => ({ encode: ours(family), decode: bytes => decodeValue(bytes, 0, bytes.length, family) }),
  'tree only': () => ({
    encode: value => {
      writer.offset = 0
      encodeTree(writer, value, 'value')
    },
    decode: bytes => decodeTree(new Reader(bytes, 0, bytes.length))
  }),
  JSON: () => ({
    encode: value => {
      const text = JSON.stringify(value)
      if (Buffer.byteLength(text) !== text.length) throw new Error('not ASCII')
      latin1(text)
    },
    decode: bytes => JSON.parse(bytes.latin1Slice(0, bytes.length))
  }),
  'walk + JSON': () => ({
    encode: value => {
      check(value, 0)
      const text = JSON.stringify(value)
      if (Buffer.byteLength(text) !== text.length) throw new Error('not ASCII')
      latin1(text)
    },
    decode: bytes => JSON.parse(bytes.latin1Slice(0, bytes.length))
  }),
  BufferJSON: () => ({
    encode: value => latin1(JSON.stringify(value, BufferJSON.replacer)),
    decode: bytes => JSON.parse(bytes.latin1Slice(0, bytes.length), BufferJSON.reviver)
  }),
  v8: () => ({
    encode: value => {
      const bytes = v8.serialize(value)
      writer.offset = 0
      writer.bytes(bytes)
    },
    decode: bytes => v8.deserialize(bytes)
  })
}

const random = n => require('node:crypto').randomBytes(n)
const many = (n, make) => Array.from({ length: n }, (_, i) => make(i))
console.info = () => {}
const [small, large] = [await realSession(20), await realSession(220)]
const SESSION = Object.keys(CANDIDATES)
const ALL = SESSION.filter(name => name !== 'this package, read again')
const BINARY = ALL.filter(name => !name.endsWith('JSON') || name === 'BufferJSON')
/** The same session with other keys: objects and strings that V8 has not seen before, as a store meets them. */
const fresh = session => () => {
  const text = JSON.stringify(session).replace(/"[A-Za-z0-9+/]{43}[A-Za-z0-9+/=]"/g, key => `"B${random(33).toString('base64').slice(1, key.length - 2)}"`)
  return libsignal.SessionRecord.deserialize(JSON.parse(text)).serialize()
}
const CASES = [
  ['session', 'session, 20 messages', fresh(small), SESSION],
  ['session', 'session, 220 messages', fresh(large), SESSION],
  ['sender-key', 'sender-key, 2 KB of bytes', () => random(2048), BINARY],
  ['pre-key', 'pre-key', () => Curve.generateKeyPair(), BINARY],
  ['lid-mapping', 'lid-mapping', i => `${10 ** 14 + i}`, ALL],
  ['device-list', 'device-list of 6', () => ['0', '1', '2', '33', '34', '35'], ALL],
  ['sender-key-memory', 'sender-key-memory of 200', () => Object.fromEntries(many(200, i => [`${10 ** 11 + i}:${i % 9}@s.whatsapp.net`, true])), ALL],
  ['tctoken', 'tctoken', () => ({ token: random(32), timestamp: '1700000000' }), BINARY],
  [
    'app-state-sync-version',
    'LTHash with 5,000 entries',
    () => ({
      version: 7,
      hash: random(128),
      indexValueMap: Object.fromEntries(many(5000, () => [random(32).toString('base64'), { valueMac: random(32) }]))
    }),
    BINARY
  ]
]

function once(work, times) {
  const start = process.hrtime.bigint()
  for (let i = 0; i < times; i++) work(i)
  return Number(process.hrtime.bigint() - start) / 1000 / times
}
const median = samples => samples.sort((a, b) => a - b)[samples.length >> 1]

for (const [family, title, make, names] of CASES) {
  const inputs = many(title.startsWith('LTHash') ? 2 : INPUTS, make)
  const runs = names.map(name => {
    const candidate = CANDIDATES[name](FAMILY_CODES.get(family))
    const stored = inputs.map(input => {
      candidate.encode(input)
      return Buffer.from(writer.buffer.subarray(0, writer.offset))
    })
    if (name === 'this package') assert.deepEqual(candidate.decode(stored[0]), JSON.parse(JSON.stringify(inputs[0], BufferJSON.replacer), BufferJSON.reviver))
    const encode = i => candidate.encode(inputs[i % inputs.length])
    const decode = i => candidate.decode(stored[i % stored.length])
    // Until the compiler is done with it: JSON needs no such time, and a gateway runs for weeks.
    for (const work of [encode, decode]) for (const end = performance.now() + WARM_UP_MS; performance.now() < end; ) once(work, inputs.length)
    const times = work => Math.max(2, Math.round(MICROSECONDS_PER_ROUND / once(work, inputs.length)))
    return { name, bytes: stored[0].length, encode, decode, encodeTimes: times(encode), decodeTimes: times(decode), encoded: [], decoded: [] }
  })
  for (let round = 0; round < rounds; round++) {
    for (const run of runs) {
      run.encoded.push(once(run.encode, run.encodeTimes))
      run.decoded.push(once(run.decode, run.decodeTimes))
    }
  }
  const used = { encode: median(runs[0].encoded), decode: median(runs[0].decoded) }
  console.log(`\n${title.padEnd(26)} ${'bytes'.padStart(8)} ${'encode us'.padStart(10)}  ratio ${'decode us'.padStart(10)}  ratio`)
  for (const run of runs) {
    const [encode, decode] = [median(run.encoded), median(run.decoded)]
    const ratios = [encode / used.encode, decode / used.decode].map(ratio => ratio.toFixed(1).padStart(6))
    console.log(`  ${run.name.padEnd(24)} ${String(run.bytes).padStart(8)} ${encode.toFixed(2).padStart(10)} ${ratios[0]} ${decode.toFixed(2).padStart(10)} ${ratios[1]}`)
  }
}
