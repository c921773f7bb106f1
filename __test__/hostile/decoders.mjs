// What must hold for any bytes in the place of an encoded value or of one of Baileys' files: for mutations of samples and for a fuzzer.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { isDeepStrictEqual } from 'node:util'
import { BufferJSON } from 'baileys'
import { CaskError } from 'baileys-cask'
import { linkedCreds, ONE_OF_EACH } from '../helpers/auth-folders.mjs'
import { weight } from './weight.mjs'

const require = createRequire(import.meta.url)
const { Writer } = require('../../js/codec/writer.js')
const { encodeValue } = require('../../js/codec/encode.js')
const { decodeValue } = require('../../js/codec/decode.js')
const { FAMILY_CODES, OTHER_FAMILY, CREDS } = require('../../js/codec/families.js')
const { parseValue, textOf } = require('../../js/migrate/json.js')

/** What a value may take for each of its bytes, and beside them. A session names its fields by numbers, and they come back as names. */
const PER_BYTE = 64
const BESIDE = 512
/** Bytes around what is decoded. */
const AROUND = 40

const chains = count => Object.fromEntries(Array.from({ length: count }, (_, n) => [`chain ${n}`, { chainKey: { counter: n, key: `key ${n}` }, chainType: 1 + n % 2, messageKeys: { [n]: `m${n}`, 300: 'n' } }]))
const session = count => ({
  registrationId: 5, currentRatchet: { ephemeralKeyPair: { pubKey: 'p', privKey: 'q' }, lastRemoteEphemeralKey: 'r', previousCounter: 0, rootKey: 's' },
  indexInfo: { baseKey: 't', baseKeyType: 1, closed: -1, used: 1_700_000_000_000, created: 1, remoteIdentityKey: 'u' }, _chains: chains(count),
  pendingPreKey: { signedKeyId: 1, baseKey: 'b', preKeyId: 2 },
})
const VALUES = {
  ...Object.fromEntries(Object.entries(ONE_OF_EACH).map(([family, records]) => [family, Object.values(records)])),
  session: [{ _sessions: { 'B/+=': session(3) }, version: 'v1' }, { _sessions: { a: session(0), b: session(1) }, version: 'v1' }],
  'app-state-sync-version': [
    ...Object.values(ONE_OF_EACH['app-state-sync-version']),
    { version: 300, hash: Buffer.alloc(128, 3), indexValueMap: { a: { valueMac: Buffer.alloc(32, 4) }, ['__proto__']: { valueMac: Buffer.alloc(64, 5) } } },
  ],
  creds: [linkedCreds()],
  other: [{ a: [1, -200, 1.5, null, true, false, 'text', 'ü', { ü: Buffer.alloc(100, 9), ['__proto__']: { polluted: true } }], b: Buffer.from('x') }, [[[['deep']]]], 'text'],
}

/** Everything that has an encoding of its own: Baileys' families, creds, and a family that the store does not know. */
export const FAMILIES = Object.keys(VALUES)

const codeOf = family => (family === 'creds' ? CREDS : FAMILY_CODES.get(family) ?? OTHER_FAMILY)

function encode(code, value) {
  const writer = new Writer(Buffer.alloc(4))
  encodeValue(writer, code, value, () => 'value')
  return Buffer.from(writer.buffer.subarray(0, writer.offset))
}

/** Values as the store writes them. Every form can be decoded without knowing the family, so those of others come behind its own. */
export function encodedSamples(family) {
  return [...VALUES[family].map(value => encode(codeOf(family), value)), ...FAMILIES.map(other => encode(codeOf(other), VALUES[other][0]))]
}

/** Values as Baileys writes them. */
export const fileSamples = () => FAMILIES.flatMap(family => VALUES[family].map(value => Buffer.from(JSON.stringify(value, BufferJSON.replacer))))

/** What decoding comes to, with something around the bytes that must not be looked at. */
function decoded(code, bytes, around) {
  const whole = Buffer.concat([Buffer.alloc(AROUND, around), bytes, Buffer.alloc(AROUND, around)])
  try {
    return { value: decodeValue(whole, AROUND, AROUND + bytes.length, code, {}) }
  } catch (error) {
    return { error }
  }
}

const isDamage = error => error instanceof CaskError && error.code === 'ERR_CASK_CORRUPT'
const isRefusal = error => error instanceof TypeError && error.code === 'ERR_CASK_INVALID_ARGUMENT'

/** Makes 0 of each -0, which comes back so. */
function withoutNegativeZeros(value) {
  if (Object.is(value, -0)) return 0
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value
  for (const key of Object.keys(value)) {
    const item = withoutNegativeZeros(value[key])
    // Another way would set the prototype where the key is `__proto__`.
    if (!Object.is(item, value[key])) Object.defineProperty(value, key, { value: item })
  }
  return value
}

/** The value as it is after it was stored; `undefined` where it is none that can be. */
function stored(family, value, shown) {
  const code = codeOf(family)
  let bytes
  try {
    bytes = encode(code, value)
  } catch (error) {
    assert.ok(isRefusal(error), `${shown()} threw ${error.stack} when it was stored`)
    return undefined
  }
  const again = decodeValue(bytes, 0, bytes.length, code, {})
  // Of these keys what is none of their fields is not stored.
  if (family !== 'app-state-sync-key') assert.deepStrictEqual(again, withoutNegativeZeros(value), `${shown()} is another value when it was stored`)
  assert.deepStrictEqual(encode(code, again), bytes, `${shown()} changes each time that it is stored`)
  return { value: again }
}

/** Checks what bytes in the place of an encoded value come to; whether they are accepted. */
export function checkEncoded(family, bytes) {
  const shown = () => `${family}: ${bytes.toString('hex')}`
  const [one, other] = [decoded(codeOf(family), bytes, 0), decoded(codeOf(family), bytes, 0xff)]
  if (one.error) {
    assert.ok(isDamage(one.error), `${shown()} threw ${one.error.stack}`)
    assert.equal(other.error?.message, one.error.message, shown())
    return false
  }
  assert.deepStrictEqual(other.value, one.value, `${shown()} is read beyond its end`)
  const longer = decoded(codeOf(family), Buffer.concat([bytes, Buffer.of(0)]), 0)
  assert.ok(longer.error || !isDeepStrictEqual(longer.value, one.value), `${shown()} is the same with a byte behind it`)
  assert.ok(weight(one.value) <= PER_BYTE * bytes.length + BESIDE, `${shown()} became ${weight(one.value)}`)
  // What can be read can be stored, but for what is no such key.
  if (!stored(family, one.value, shown)) assert.equal(family, 'app-state-sync-key', shown())
  return true
}

/** Checks what bytes in the place of one of Baileys' files come to, for a record of that family; whether they are accepted. */
export function checkFile(family, bytes) {
  const shown = () => `${family}: ${bytes}`
  let value
  try {
    value = parseValue(bytes)
  } catch (error) {
    assert.ok(error instanceof SyntaxError, `${shown()} threw ${error.stack}`)
    return false
  }
  assert.ok(weight(value) <= PER_BYTE * bytes.length + BESIDE, `${shown()} became ${weight(value)}`)
  // To the store `null` is no value.
  const kept = value === null ? undefined : stored(family, value, shown)
  if (kept) {
    const text = textOf(family, kept.value)
    const again = stored(family, parseValue(Buffer.from(text)), shown)
    assert.equal(again && textOf(family, again.value), text, `${shown()} changes when it is exported and imported`)
  }
  return true
}
