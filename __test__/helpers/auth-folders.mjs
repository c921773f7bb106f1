import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { BufferJSON, initAuthCreds, useMultiFileAuthState } from 'baileys'
import { newPath } from './folders.mjs'

/** Creds as they are once a phone is linked. */
export const linkedCreds = () => ({ ...initAuthCreds(), me: { id: '15550100001:1@s.whatsapp.net', lid: '100000000000001:1@lid', name: 'Ada' }, registered: true })

/** What bytes, `undefined` and messages are after Baileys' JSON. */
export const kept = value => JSON.parse(JSON.stringify(value, BufferJSON.replacer), BufferJSON.reviver)

const textOf = value => JSON.stringify(value, BufferJSON.replacer)

/** A folder that Baileys' own multi-file store has written, with `count` pre-keys more that it might have. */
export async function authFolder(t, records = {}, creds = linkedCreds(), count = 0) {
  const folder = newPath(t, 'auth')
  mkdirSync(folder)
  writeFileSync(join(folder, 'creds.json'), textOf(creds))
  const { state } = await useMultiFileAuthState(folder)
  await state.keys.set(records)
  for (let id = 1000; id < 1000 + count; id++) writeFileSync(join(folder, `pre-key-${id}.json`), textOf({ private: Buffer.alloc(32, id), public: Buffer.alloc(32, 1) }))
  return folder
}

export const put = (folder, name, text) => writeFileSync(join(folder, name), text)

/** Text of every file, by name. */
export const textsIn = folder => Object.fromEntries(readdirSync(folder).sort().map(name => [name, readFileSync(join(folder, name), 'utf8')]))

/** One value for each family of Baileys. */
export const ONE_OF_EACH = {
  'pre-key': { 7: { private: Buffer.alloc(32, 1), public: Buffer.alloc(32, 2) } },
  session: { '15550100002.0': { _sessions: { BaseKey: { registrationId: 5 } }, version: 'v1' }, '100000000000002_1.3': { _sessions: {}, version: 'v1' } },
  'sender-key': { '15550100002-1500000000@g.us::15550100002::3': Buffer.from('[{"senderKeyId":1}]'), '120363000000000001@g.us::100000000000002_1::0': Buffer.from('[]') },
  'sender-key-memory': { '15550100002-1500000000@g.us': { '15550100002:3@s.whatsapp.net': true }, '120363000000000001@g.us': {}, 'status@broadcast': {} },
  'app-state-sync-key': { 'AAAA/B++C/8=': { keyData: Buffer.alloc(32, 3), fingerprint: { rawId: 9, currentIndex: 1, deviceIndexes: [0, 1] }, timestamp: 1_700_000_000_000 } },
  'app-state-sync-version': { critical_unblock_low: { version: 3, hash: Buffer.alloc(128, 4), indexValueMap: { 'a/b+c=': { valueMac: Buffer.alloc(32, 5) } } }, regular_high: { version: 0, hash: Buffer.alloc(128), indexValueMap: {} } },
  'lid-mapping': { 15550100002: '100000000000002', '100000000000002_reverse': '15550100002' },
  'device-list': { 15550100002: ['0', '3'] },
  tctoken: {
    '100000000000002@lid': { token: Buffer.from([1, 2]), timestamp: '1700000000' }, '15550100002:3@s.whatsapp.net': { token: Buffer.from([3]) },
    __index: { token: Buffer.from('["100000000000002@lid"]') },
  },
  'identity-key': { '15550100002.0': Buffer.alloc(33, 6) },
}
