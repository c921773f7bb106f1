// The reader in Python, which knows docs/format.md and docs/values.md alone.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { pythonWith } from './python.mjs'

const folder = join(dirname(fileURLToPath(import.meta.url)), '../known-answers')
const { python, missing } = pythonWith(join(folder, 'requirements.txt'))

/** Why tests with the reader are skipped, or `false`. */
export const noReader = missing === undefined ? false : `the reader in Python cannot run: ${missing}`

/** Runs a program of the folder `known-answers`; gives how it has ended and what it has printed. */
export function runPython(name, args = [], input = '') {
  const { status, stdout, stderr, error } = spawnSync(python, ['-B', join(folder, name), ...args], { input, encoding: 'utf8', maxBuffer: 2 ** 28 })
  assert.ok(!error && (status === 0 || (status === 1 && stderr === '')), `${name} has failed: ${error ?? stderr}`)
  return { status, stdout }
}

/** What the reader says of a cask, or with `--slot` of a key slot: bytes as Buffers. */
export function readCask(args, encryptionKey) {
  const kind = typeof encryptionKey === 'string' ? '--passphrase' : '--key'
  const secret = encryptionKey === undefined ? [] : [kind, '-']
  const input = typeof encryptionKey === 'string' ? encryptionKey : encryptionKey?.toString('hex')
  const { status, stdout } = runPython('read_cask.py', [...args, ...secret], input)
  const report = JSON.parse(stdout, (_, value) => (value?.type === 'Buffer' && typeof value.data === 'string' ? Buffer.from(value.data, 'base64') : value))
  assert.equal(status, report.error === undefined ? 0 : 1)
  return report
}

/** What a report says is in a cask, in the form of `contents` of casks.mjs. */
export function contentsIn(report) {
  assert.equal(report.error, undefined, `${report.error}: ${report.message} (${report.path} at ${report.offset})`)
  const found = {}
  for (const { name, creds, families } of report.accounts) {
    const records = {}
    for (const [family, all] of Object.entries(families)) {
      records[family] = all.map(({ id, value }) => [id, value]).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    }
    found[name] = { creds: creds?.value, records }
  }
  return found
}
