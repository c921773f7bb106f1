import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { openCask } from '../index.mjs'
import { fixture } from './helpers/fixture-contents.mjs'

const fixtures = join(dirname(fileURLToPath(import.meta.url)), 'fixtures')
const names = readdirSync(fixtures)
assert.ok(names.length > 0, 'there are fixtures')

async function everything(cask, contents) {
  const accounts = {}
  for (const name of await cask.accounts()) {
    const account = cask.account(name)
    const records = {}
    for (const family of Object.keys(contents[name]?.records ?? {})) {
      records[family] = {}
      for await (const [id, value] of account.keys.list(family)) records[family][id] = value
    }
    accounts[name] = { creds: await account.loadCreds(), records }
  }
  return accounts
}

for (const name of names) {
  test(`a cask written in format ${name} still opens and holds what it held`, async () => {
    const { contents, encryptionKey } = fixture(name)
    const folder = mkdtempSync(join(tmpdir(), 'cask-fixture-'))
    try {
      cpSync(join(fixtures, name), folder, { recursive: true })
      for (const round of ['opened', 'written to and opened again']) {
        const cask = await openCask({ path: folder, ...(encryptionKey && { encryptionKey }) })
        assert.deepEqual(cask.recovery, { cutBytes: 0, cutFrames: 0 }, round)
        assert.deepEqual(await everything(cask, contents), contents, round)
        await cask.account('shop').keys.set({ 'lid-mapping': { leer: '' } })
        await cask.close()
      }
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
}
