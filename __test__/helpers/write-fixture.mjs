/** Writes a fixture: `node __test__/helpers/write-fixture.mjs __test__/fixtures/vN-name`. Fixtures are kept for ever. */
import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { openCask } from '../../index.mjs'
import { contents } from './fixture-contents.mjs'

const path = process.argv[2]
if (!path || existsSync(path)) throw new Error('give the path of a fixture that does not exist yet')

const cask = await openCask({ path })
for (const [name, { creds, records }] of Object.entries(contents)) {
  const account = cask.account(name)
  // Replaced, deleted and cleared records are part of the log too.
  await account.keys.set({ session: { gone: { old: true }, '4917000.0': { old: true } } })
  await account.keys.clear()
  await account.keys.set({ 'lid-mapping': { gone: 'x' } })
  if (creds) await account.saveCreds(creds)
  for (const [family, values] of Object.entries(records)) await account.keys.set({ [family]: values })
  await account.keys.set({ 'lid-mapping': { gone: null } })
}
await cask.account('dropped').keys.set({ 'lid-mapping': { gone: 'x' } })
await cask.account('dropped').drop()
await cask.close()
rmSync(join(path, 'owner'), { force: true })
