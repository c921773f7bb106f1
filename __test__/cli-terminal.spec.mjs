// Every command in a real terminal: tables that fit, progress, colours, prompts, Ctrl-C.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { importMultiFile, openCask } from 'baileys-cask'
import { authFolder, ONE_OF_EACH, put } from './helpers/auth-folders.mjs'
import { cli, standstill } from './helpers/cli.mjs'
import { newPath, tempFolder } from './helpers/folders.mjs'
import { inTerminal, NO_TERMINAL, TERMINALS } from './helpers/terminal.mjs'
import { damageRecord, fill, session } from './helpers/upkeep.mjs'

const LONG = '15550100002-1500000000@g.us::15550100002::3-and-so-on-until-no-terminal-has-the-room-for-it'
const WIDE = '\u65e5\u672c\u8a9e\u306e\u30a2\u30ab\u30a6\u30f3\u30c8\u540d\u65e5\u672c\u8a9e\u306e\u30a2\u30ab\u30a6\u30f3\u30c8\u540d'

/** Columns that a line takes: characters of two columns are the CJK ones here. */
const widthOf = line => [...line].reduce((sum, character) => sum + (character >= '\u3000' ? 2 : 1), 0)

async function cask(t) {
  const path = newPath(t)
  const cask = await openCask({ path })
  await importMultiFile(await authFolder(t, ONE_OF_EACH), cask.account('default'))
  await cask.account(WIDE).keys.set({ session: { [LONG]: session(1), [WIDE.repeat(3)]: session(2), short: session(3) } })
  await cask.close()
  return path
}

if (NO_TERMINAL) test('the command line in a terminal', { skip: NO_TERMINAL }, () => {})

for (const kind of TERMINALS) describe(`in ${kind}`, { timeout: 300_000 }, () => {
  const start = (t, args, options) => inTerminal(t, kind, args, options)
  /** What is on the screen when it has ended. */
  const shown = async (t, args, code, options) => {
    const terminal = await start(t, args, options)
    const ended = await terminal.ended()
    const screen = await terminal.screen()
    assert.equal(ended, code, screen)
    return { screen, terminal }
  }

  test('every command does there what it does elsewhere', async t => {
    const path = await cask(t)
    const damaged = newPath(t)
    const other = await openCask({ path: damaged })
    await fill(other)
    await other.account('a').keys.set({ session: { doubt: session(5) } })
    await other.close()
    damageRecord(damaged, 'doubt')
    const folder = await authFolder(t, ONE_OF_EACH)
    const torn = await authFolder(t)
    put(torn, 'session-a.0.json', '{')
    for (const [args, code, pattern] of [
      [['import', folder, newPath(t)], 0, /^Imported: 18 records and the creds/m],
      [['import', torn, newPath(t)], 3, /^failed: session-a\.0\.json: torn/m],
      [['import', torn, path], 1, /^baileys-cask: account default has other creds|^baileys-cask: account default/m],
      [['export', path, newPath(t)], 0, /^Exported: 18 records/m],
      [['inspect', path], 0, /^default +identity-key +1 +34$/m],
      [['inspect', path, '--account', 'default', '--family', 'lid-mapping', '--id', '15550100002'], 0, /^"100000000000002"$/m],
      [['backup', path, newPath(t)], 0, /^Backed up: /m],
      [['verify', path], 0, /^Intact: /m],
      [['verify', damaged], 3, /^ {2}a: session doubt$/m],
      [['repair', damaged, newPath(t)], 3, /^lost: a: session doubt$/m],
      [['compact', path], 0, /^Compacted: /m],
      [['improt'], 2, /did you mean import\?/],
      [['--version'], 0, /^\d+\.\d+\.\d+$/m],
      [['import', '--help'], 0, /^Usage: npx baileys-cask import/m],
    ]) {
      const { screen } = await shown(t, args, code, { columns: 200, rows: 50 })
      assert.match(screen, pattern)
    }
  })

  for (const columns of [80, 40, 20]) {
    test(`tables and help fit into ${columns} columns`, async t => {
      const path = await cask(t)
      for (const args of [['inspect', path, '--account', WIDE, '--family', 'session'], ['--help'], ['import', '--help']]) {
        const { terminal, screen } = await shown(t, args, 0, { columns, rows: 60 })
        // Where a line was too long, the terminal has gone on in the next one.
        const isHelp = args.includes('--help')
        const lines = (await terminal.screen({ joined: true })).split('\n').filter(line => !isHelp || !/npx|cask$/.test(line))
        if (!isHelp || columns > 30) for (const line of lines) assert.ok(widthOf(line) <= columns, `${columns}: ${line}`)
        if (!isHelp) {
          assert.match(screen, /short/)
          if (columns === 40) assert.match(screen, /^15550100002-1\.{3}|^1555\S+\.\.\.\S+ +\d+$/m)
          if (columns === 20) assert.match(screen, /^1555\S*\.\.\.\S* +\d+$/m)
        }
      }
    })
  }

  test('a table that has no room at all becomes a list, in which nothing is cut', async t => {
    const { screen } = await shown(t, ['inspect', await cask(t), '--account', 'default'], 0, { columns: 24, rows: 60 })
    assert.match(screen, /^ACCOUNT: default\nFAMILY: sender-key\nRECORDS: 2\nBYTES: \d+$/m)
  })

  test('colours, and none with NO_COLOR or in a file', async t => {
    const path = await cask(t)
    const bold = /\x1b\[[0-9;]*1m/
    const colored = (await shown(t, ['inspect', path], 0)).terminal
    assert.match(await colored.screen({ colors: true }), bold)
    const plain = (await shown(t, ['inspect', path], 0, { env: { NO_COLOR: '1' } })).terminal
    assert.doesNotMatch(await plain.screen({ colors: true }), /\x1b\[(?!0?m|39m|49m)/)
    const file = join(tempFolder(t), 'out')
    await shown(t, ['inspect', path, '--account', WIDE, '--family', 'session'], 0, { redirect: `> '${file}'`, columns: 40 })
    assert.equal(readFileSync(file, 'utf8'), (await cli(['inspect', path, '--account', WIDE, '--family', 'session'])).stdout)
    assert.ok(readFileSync(file, 'utf8').includes(LONG))
  })

  test('a bar after a second, which goes in the end; none in a file', async t => {
    const folder = await authFolder(t, {}, undefined, 700)
    for (const [columns, pattern] of [[80, /^importing \[#+-+\] +\d+% {2}\d+ of 700 {2}\d+ s$/m], [40, /^importing \[#+-+\] +\d+%$/m]]) {
      const gate = standstill(t, { file: 'pre-key-1600.' })
      const terminal = await start(t, ['import', folder, newPath(t)], { env: gate.env, columns })
      await gate.reached()
      const during = await terminal.seen(pattern)
      assert.ok(during.split('\n').every(line => line.length < columns), during)
      gate.open()
      assert.equal(await terminal.ended(), 0)
      const after = await terminal.screen()
      assert.doesNotMatch(after, /importing|\[#/)
      assert.match(after, /^Imported: 700 records/)
    }
    const quick = await shown(t, ['import', folder, newPath(t), '--json'], 0, { columns: 500 })
    assert.equal(JSON.parse(quick.screen).result.complete, true)
  })

  test('Ctrl-C takes the bar away, ends with 130, and the account cannot be used', async t => {
    const folder = await authFolder(t, {}, undefined, 700)
    const path = newPath(t)
    const gate = standstill(t, { file: 'pre-key-1600.' })
    const terminal = await start(t, ['import', folder, path], { env: gate.env })
    await gate.reached()
    await terminal.seen(/^importing \[/m)
    await terminal.press('C-c')
    await gate.heard()
    gate.open()
    assert.equal(await terminal.ended(), 130)
    const screen = await terminal.screen()
    assert.match(screen, /^\^?C?baileys-cask: the signal of the import was aborted; run it again/m)
    assert.doesNotMatch(screen, /importing \[/)
    const cask = await openCask({ path })
    assert.equal(await cask.account().loadCreds(), undefined)
    await cask.close()
    await shown(t, ['import', folder, path], 0)
  })

  test('Ctrl-C in a backup: nothing is left of it', async t => {
    const path = newPath(t)
    const cask = await openCask({ path })
    for (let i = 0; i < 40; i++) await cask.account().keys.set({ 'identity-key': { [i]: Buffer.alloc(1_000_000, i) } })
    await cask.close()
    const target = newPath(t, 'copy')
    const gate = standstill(t, { binding: 'backup', raise: 'SIGINT' })
    await shown(t, ['backup', path, target], 130, { env: gate.env })
    assert.deepEqual(readdirSync(dirname(target)), [])
  })
})
