import { mkdirSync, writeFileSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BufferJSON, initAuthCreds } from 'baileys'
import { lidMappings, preKeys, sessionIds, sessions } from './data.mjs'

/** Files of the folder, creds not counted. */
export const FILES = 50_000
const SESSIONS = 15_000
const PRE_KEYS = 5_000
const IN_FLIGHT = 16

/** A folder as Baileys' multi-file store leaves it in an account with many contacts. */
export const makeAuthFolder = async folder => {
  mkdirSync(folder, { recursive: true })
  const write = (name, value) => writeFileSync(join(folder, `${name}.json`), JSON.stringify(value, BufferJSON.replacer))
  write('creds', initAuthCreds())
  const values = await sessions()
  sessionIds(SESSIONS).forEach((id, i) => write(`session-${id}`, values[i % values.length]))
  for (const [id, value] of Object.entries(preKeys(1, PRE_KEYS))) write(`pre-key-${id}`, value)
  const { batches: [mappings] } = lidMappings(FILES - SESSIONS - PRE_KEYS, FILES - SESSIONS - PRE_KEYS)
  for (const [id, value] of Object.entries(mappings)) write(`lid-mapping-${id}`, value)
}

/** Reads such a folder and does nothing with it, by the call that Baileys' store makes. */
export const readFiles = async dir => {
  await makeAuthFolder(dir)
  return {
    fixed: true,
    async run() {
      const started = performance.now()
      const names = await readdir(dir)
      let next = 0
      const lane = async () => {
        while (next < names.length) await readFile(join(dir, names[next++]))
      }
      await Promise.all(Array.from({ length: IN_FLIGHT }, lane))
      return { ops: FILES, ms: performance.now() - started }
    }
  }
}
