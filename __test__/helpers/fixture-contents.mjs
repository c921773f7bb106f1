/** What the casks in `__test__/fixtures` hold, and what opens them. Changing this makes old fixtures wrong: add another fixture instead. */

const bytes = (length, start) => Buffer.from(Array.from({ length }, (_, i) => (start + i * 7) % 256))

const session = {
  _sessions: {
    'BQID/base+key=': {
      registrationId: 4711,
      currentRatchet: {
        ephemeralKeyPair: { pubKey: 'BQpub=', privKey: 'priv=' },
        lastRemoteEphemeralKey: 'BQremote=',
        previousCounter: 3,
        rootKey: 'root='
      },
      indexInfo: { baseKey: 'BQbase=', baseKeyType: 1, closed: -1, used: 1700000000000, created: 1700000000001, remoteIdentityKey: 'BQid=' },
      _chains: { 'BQchain=': { chainKey: { counter: 5, key: 'key=' }, chainType: 2, messageKeys: { 4: 'skipped=' } } }
    }
  },
  version: 'v1'
}

const records = {
  'pre-key': { 1: { public: bytes(32, 1), private: bytes(32, 2) } },
  session: { '4917000.0': session, 'a.1': bytes(40, 3) },
  'sender-key': { 'g@g.us::4917000::0': bytes(200, 4) },
  'sender-key-memory': { 'g@g.us': { '4917000@s.whatsapp.net': true, 'x:1@lid': false } },
  'app-state-sync-version': {
    regular: { version: 12, hash: bytes(128, 5), indexValueMap: { [bytes(32, 6).toString('base64')]: { valueMac: bytes(32, 7) } } }
  },
  'lid-mapping': { '4917000': '8812', '8812_reverse': '4917000', leer: '', '\u00fcml\u00e4ut/\u{1f511}': 'wert/\u{1f511}' },
  'device-list': { '4917000': ['0', '1', '17'] },
  tctoken: { '4917000@s.whatsapp.net': { token: bytes(16, 8), timestamp: '1700000000' } },
  'identity-key': { '4917000.0': bytes(33, 9) },
  'of-my-own': { zero: 0, no: false, list: [1, 'two', null, { deep: bytes(3, 10) }], __proto__x: { 1: 2 } }
}

const creds = {
  noiseKey: { public: bytes(32, 11), private: bytes(32, 12) },
  registrationId: 99,
  me: { id: '4917000:1@s.whatsapp.net', name: 'Fixture' },
  registered: true
}

const contents = { shop: { creds, records }, other: { creds: undefined, records: { 'lid-mapping': { a: 'b' } } } }

/** So large that the segment which holds it has a hint. */
const large = { creds: undefined, records: { 'sender-key': { large: bytes(140_000, 13) } } }

const all = {
  'v1-plain': { contents },
  'v1-compacted': { contents },
  'v1-sealed': { contents: { ...contents, large }, encryptionKey: Buffer.alloc(32, 7) },
  'v1-sealed-passphrase': { contents, encryptionKey: 'correct horse \u00fcber \u{1f511}' },
}

/** What a fixture holds by account, and the `encryptionKey` of a sealed one. */
export const fixture = name => all[name]
