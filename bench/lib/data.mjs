import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeSession } from './sessions.mjs'
import { seededBytes } from './seeded.mjs'
import { workFolder } from './paths.mjs'

/** Different sessions; stores with more records hold each of them several times. A power of two. */
export const SESSIONS = 64

/** `SESSIONS` sessions of about 2 KB. They are the same in every run; making them takes seconds, so they are kept in a file. */
export const sessions = async () => {
  const file = join(workFolder, 'sessions.json')
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch {
    const made = []
    for (let i = 0; i < SESSIONS; i++) made.push(await makeSession(`session ${i}`))
    mkdirSync(workFolder, { recursive: true })
    writeFileSync(`${file}.partial`, JSON.stringify(made))
    renameSync(`${file}.partial`, file)
    return made
  }
}

/** Keys of 32 bytes, and of 33 with their type in front, as text. */
const KEY = /"([A-Za-z0-9+/]{43}=|B[A-Za-z0-9+/]{43})"/g
const STATES = 8

let states

/**
 * Of each of those sessions `STATES` states with keys of their own, as it has after its ratchet has turned: in its life no state comes twice,
 * so no store may gain by having seen one a moment ago.
 */
export const sessionStates = () => states ??= makeStates()

const makeStates = async () => (await sessions()).map((session, i) => {
  const text = JSON.stringify(session)
  return Array.from({ length: STATES }, (_, turn) => JSON.parse(withOtherKeys(text, `session ${i}/${turn}`)))
})

/** The key under which the session of a record stands: no two contacts have the same. */
export const baseKeyOf = record => `B${seededBytes(`base key ${record}`, 33).toString('base64').slice(1)}`

/** A state as that of the session with another base key. As libsignal does it, the object is made when it is needed. */
export const withBaseKey = ({ _sessions, version }, baseKey) => {
  for (const key in _sessions) {
    const entry = _sessions[key]
    return { _sessions: { [baseKey]: { ...entry, indexInfo: { ...entry.indexInfo, baseKey } } }, version }
  }
}

/** The same session with other keys, but for those that it keeps for life; where a key stands twice, so does the other one. */
const withOtherKeys = (text, seed) => {
  const { baseKey, remoteIdentityKey } = Object.values(JSON.parse(text)._sessions)[0].indexInfo
  const others = new Map([[baseKey, baseKey], [remoteIdentityKey, remoteIdentityKey]])
  return text.replace(KEY, (_, key) => {
    if (!others.has(key)) {
      const bytes = seededBytes(`${seed}/${others.size}`, 33)
      bytes[0] = 5
      others.set(key, (key.endsWith('=') ? bytes.subarray(1) : bytes).toString('base64'))
    }
    return `"${others.get(key)}"`
  })
}

/** Signal addresses of LID users, as Baileys makes them. */
export const sessionIds = count => Array.from({ length: count }, (_, i) => `${100000000000000 + i}_1.0`)

/** A sender key as Baileys stores it: 2 KB of bytes. */
export const senderKey = i => seededBytes(`sender key ${i}`, 2048)

/** One upload of pre-keys: `{ [id]: { public, private } }`. */
export const preKeys = (first, count) => {
  const made = {}
  for (let id = first; id < first + count; id++) {
    const bytes = seededBytes(`pre-key ${id}`, 64)
    made[id] = { public: bytes.subarray(0, 32), private: bytes.subarray(32) }
  }
  return made
}

/** LID mappings in both directions, as Baileys' `LIDMappingStore` writes them, in batches of `batch` entries. */
export const lidMappings = (entries, batch) => {
  const batches = []
  let payloadBytes = 0
  for (let first = 0; first < entries; first += batch) {
    const records = {}
    for (let i = first; i < first + batch; i += 2) {
      const phone = String(4915100000000 + i)
      const lid = String(100000000000000 + i * 7919)
      records[phone] = lid
      records[`${lid}_reverse`] = phone
      payloadBytes += 2 * phone.length + 2 * lid.length + '_reverse'.length
    }
    batches.push(records)
  }
  return { batches, payloadBytes }
}

/** An app state hash with `entries` index entries. */
export const ltHash = entries => {
  const indexValueMap = {}
  for (let i = 0; i < entries; i++) {
    indexValueMap[seededBytes(`index ${i}`, 32).toString('base64')] = { valueMac: seededBytes(`value ${i}`, 32) }
  }
  return { version: entries, hash: seededBytes('hash', 128), indexValueMap }
}
