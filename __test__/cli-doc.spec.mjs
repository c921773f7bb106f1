// docs/cli.md is what the program says and does: help, exit codes, examples, shapes of documents.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { importMultiFile, openCask } from 'baileys-cask'
import { authFolder, ONE_OF_EACH } from './helpers/auth-folders.mjs'
import { cli } from './helpers/cli.mjs'
import { copyFolder, tempFolder } from './helpers/folders.mjs'
import { fill, session } from './helpers/upkeep.mjs'

const require = createRequire(import.meta.url)
const { COMMANDS } = require('../bin/commands/index.js')
const { MEANINGS } = require('../bin/exit-codes.js')
const PAGE = readFileSync(new URL('../docs/cli.md', import.meta.url), 'utf8')
const START = 'npx baileys-cask '

/** The folder in which the examples are run. */
async function workplace(t) {
  const folder = tempFolder(t)
  copyFolder(await authFolder(t, ONE_OF_EACH), join(folder, 'auth_info_baileys'))
  mkdirSync(join(folder, 'backups'))
  const auth = await openCask({ path: join(folder, 'auth') })
  await importMultiFile(join(folder, 'auth_info_baileys'), auth.account())
  await auth.close()
  const damaged = await openCask({ path: join(folder, 'damaged') })
  await fill(damaged)
  await damaged.account('a').keys.set({ session: { doubt: session(5) } })
  await damaged.close()
  const segment = join(folder, 'damaged', readdirSync(join(folder, 'damaged')).find(name => name.endsWith('.seg')))
  const bytes = readFileSync(segment)
  bytes[bytes.indexOf('doubt') + 10] ^= 0x40
  writeFileSync(segment, bytes)
  for (const name of ['key', 'new-key']) writeFileSync(join(folder, name), randomBytes(32), { mode: 0o600 })
  return folder
}

const words = line => line.slice(START.length).split(' ')

/** Names and types of a document; of texts and numbers nothing else. */
function shapeOf(value) {
  if (Array.isArray(value)) return value.slice(0, 1).map(shapeOf)
  if (value === null || typeof value !== 'object') return typeof value
  return Object.fromEntries(Object.keys(value).sort().map(name => [name, shapeOf(value[name])]))
}

test('the page shows the help of every command as it is', async () => {
  const shown = new Map([...PAGE.matchAll(/^```text\n\$ npx baileys-cask (.*)\n([^]*?)^```$/gm)].map(([, args, text]) => [args, text]))
  const expected = ['--help', ...[...COMMANDS.keys()].map(name => `${name} --help`)]
  assert.deepEqual([...shown.keys()].sort(), expected.sort())
  for (const [args, text] of shown) assert.equal(text, (await cli(args.split(' '))).stdout, args)
})

test('the page has the exit codes of the program', () => {
  const rows = [...PAGE.matchAll(/^\| (\d+) \| (.*) \|$/gm)].map(([, code, meaning]) => [Number(code), meaning])
  assert.deepEqual(rows, MEANINGS.map(([code, meaning]) => [code, meaning]))
})

test('examples of the help do what they say', async t => {
  const cwd = await workplace(t)
  const outcomes = []
  for (const { name, examples } of COMMANDS.values()) {
    assert.ok(examples.length > 0, name)
    for (const { line } of examples) {
      assert.ok(line.startsWith(START + name), line)
      const { code, stderr } = await cli(words(line), { cwd })
      assert.equal(code, 0, `${line}: ${stderr}`)
      outcomes.push(line)
    }
  }
  assert.ok(outcomes.length >= COMMANDS.size)
})

test('examples of the page have the documents that it shows', async t => {
  const cwd = await workplace(t)
  await cli(['import', 'auth_info_baileys', 'auth', '--account', 'shop-17'], { cwd })
  const examples = [...PAGE.matchAll(/^```sh\n(npx baileys-cask .*--json)\n```\n```json\n([^]*?)^```$/gm)]
  const commands = new Set()
  for (const [, line, text] of examples) {
    const { json, code } = await cli(words(line), { cwd })
    const shown = JSON.parse(text)
    assert.deepEqual(shapeOf(json), shapeOf(shown), line)
    assert.deepEqual([json.command, json.ok, code], [shown.command, shown.ok, shown.exitCode], line)
    commands.add(json.command)
  }
  assert.deepEqual([...commands].sort(), [...COMMANDS.keys()].sort())
})
