/**
 * Writes a fixture: `node __test__/helpers/write-fixture.mjs __test__/fixtures/vN-name`. Fixtures are kept for ever; what they hold is in
 * fixture-contents.mjs. With `--compacted` a part of the log is a copy that compaction made, and the log goes on behind it in several segments.
 */
import { existsSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { openCask } from '../../index.mjs'
import { fixture } from './fixture-contents.mjs'

const [path, how] = process.argv.slice(2)
if (!path || existsSync(path)) throw new Error('give the path of a fixture that does not exist yet')

const { contents, encryptionKey } = fixture(basename(path))
const sealed = encryptionKey === undefined ? {} : { encryptionKey }
let cask = await openCask({ path, ...sealed })
for (const [name, { creds, records }] of Object.entries(contents)) {
  let account = cask.account(name)
  // Replaced, deleted and cleared records are part of the log too.
  await account.keys.set({ session: { gone: { old: true }, '4917000.0': { old: true } } })
  await account.keys.clear()
  await account.keys.set({ 'lid-mapping': { gone: 'x' } })
  if (how === '--compacted') {
    // Enough of it for compaction to be worth while.
    for (let n = 0; n < 40; n++) await account.keys.set({ session: { gone: Buffer.alloc(100_000, n) } })
    await account.keys.set({ session: { gone: null }, 'lid-mapping': { kept: 'for a copy' } })
    if (name === 'large') await account.keys.set(records)
    await cask.compact()
    await cask.close()
    cask = await openCask({ path, ...sealed })
    account = cask.account(name)
    await account.keys.set({ 'lid-mapping': { kept: null } })
  }
  if (creds) await account.saveCreds(creds)
  for (const [family, values] of Object.entries(name === 'large' ? {} : records)) await account.keys.set({ [family]: values })
  await account.keys.set({ 'lid-mapping': { gone: null } })
}
if (how === '--compacted') {
  await cask.close()
  cask = await openCask({ path, ...sealed })
}
await cask.account('dropped').keys.set({ 'lid-mapping': { gone: 'x' } })
await cask.account('dropped').drop()
await cask.close()
rmSync(join(path, 'owner'), { force: true })
