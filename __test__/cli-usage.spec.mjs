// Command lines that cannot be understood, help, versions.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { BIN, cli, environment } from './helpers/cli.mjs'
import { runProgram } from './helpers/script.mjs'

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))

/** What is wrong with a line, and what is said of it. */
const MISTAKES = [
  [[], /^baileys-cask: no command is given; there are import, export, /],
  [['improt', 'a', 'b'], /unknown command improt; did you mean import\?/],
  [['verfiy'], /unknown command verfiy; did you mean verify\?/],
  [['frobnicate'], /unknown command frobnicate$/m],
  [['constructor'], /unknown command constructor$/m],
  [['import'], /import needs FOLDER/],
  [['import', 'a'], /import needs CASK/],
  [['verify', 'a', 'b'], /verify does not take so many arguments: b/],
  [['verify', ''], /CASK is empty/],
  [['verify', 'a', '--jsn'], /unknown option --jsn; did you mean --json\?/],
  [['import', 'a', 'b', '--dryrun'], /unknown option --dryrun; did you mean --dry-run\?/],
  [['import', 'a', 'b', '-x'], /unknown option -x$/m],
  [['import', 'a', 'b', '--__proto__'], /unknown option --__proto__$/m],
  [['import', 'a', 'b', '--account'], /option --account needs a value: --account NAME/],
  [['import', 'a', 'b', '--account='], /option --account needs a value/],
  [['import', 'a', 'b', '--account', '--dry-run'], /option --account needs a value; one that begins with - is given as --account=--dry-run/],
  [['import', 'a', 'b', '--account', 'x', '--account', 'y'], /option --account is given twice/],
  [['import', 'a', 'b', '--dry-run=yes'], /option --dry-run takes no value/],
  [['verify', 'a', '--account', 'x'], /unknown option --account$/m],
  [['repair', 'a', 'b', '--doubtful', 'omit-ratchet'], /option --doubtful is one of omit, omit-ratchets, keep, and not omit-ratchet; did you mean omit-ratchets\?/],
  [['verify', 'a', '--key', 'secret'], /unknown option --key/],
  [['inspect', 'a', '--reveal'], /--reveal needs --id or --creds/],
  [['inspect', 'a', '--id', 'x'], /--id needs --family/],
  [['inspect', 'a', '--family', 'x'], /--family needs --account/],
  [['inspect', 'a', '--creds'], /--creds needs --account/],
  [['inspect', 'a', '--creds', '--account', 'b', '--family', 'c'], /--creds does not go with/],
  [['--frob'], /unknown option --frob/],
]

describe('wrong usage has exit code 2', () => {
  for (const [args, message] of MISTAKES) {
    test(args.join(' ') || 'nothing', async () => {
      const [text, asJson] = await Promise.all([cli(args), cli([...args, '--json'])])
      assert.deepEqual([text.code, text.stdout], [2, ''], text.stderr)
      assert.match(text.stderr, message)
      assert.match(text.stderr, /^Try npx baileys-cask .*--help$/m)
      // The last argument of some is an option's value, which may not begin so.
      if (args.at(-1) === '--account') return
      assert.equal(asJson.code, 2)
      const { ok, exitCode, error } = asJson.json
      assert.deepEqual([ok, exitCode, error.code], [false, 2, 'ERR_CASK_INVALID_ARGUMENT'])
      assert.ok(text.stderr.includes(error.message))
    })
  }

  test('behind -- nothing is an option', async () => {
    const { code, stdout, stderr } = await runProgram(process.execPath, [BIN, 'verify', '--', '--json'], { env: environment() })
    assert.deepEqual([code, stdout], [1, ''])
    assert.match(stderr, /--json does not exist/)
  })
})

describe('help and version', () => {
  test('--version, -v', async () => {
    for (const args of [['--version'], ['-v']]) assert.deepEqual(await cli(args).then(({ code, stdout }) => [code, stdout]), [0, `${version}\n`])
    assert.deepEqual((await cli(['--version', '--json'])).json, { command: null, ok: true, exitCode: 0, result: { version }, warnings: [] })
  })

  test('--help, -h, help, also where arguments are missing', async () => {
    const general = await cli(['--help'])
    assert.equal(general.code, 0)
    assert.match(general.stdout, /^Usage: npx baileys-cask COMMAND/)
    for (const args of [['-h'], ['help']]) assert.equal((await cli(args)).stdout, general.stdout)
    const own = await cli(['import', '--help'])
    assert.match(own.stdout, /^Usage: npx baileys-cask import FOLDER CASK \[options\]$/m)
    for (const args of [['--help', 'import'], ['help', 'import'], ['import', '-h', 'x']]) assert.equal((await cli(args)).stdout, own.stdout)
    assert.equal((await cli(['import', '--help', '--json'])).json.result.help, own.stdout.trimEnd())
  })

  test('help is there without the addon, and everything else says that it is not', async () => {
    const env = { NAPI_RS_NATIVE_LIBRARY_PATH: '/nowhere/at-all.node' }
    for (const args of [['--help'], ['inspect', '--help'], ['--version']]) assert.equal((await cli(args, { env })).code, 0)
    assert.equal((await cli(['improt'], { env })).code, 2)
    const { code, json } = await cli(['verify', '.', '--json'], { env })
    assert.deepEqual([code, json.ok, json.error.code], [1, false, 'ERR_CASK_ADDON'])
  })

  test('no line is longer than 80 columns, but for examples', async () => {
    const { stdout } = await cli(['--help'])
    const names = [...stdout.matchAll(/^ {2}([a-z]+(?: [a-z]+)?) {2,}/gm)].map(([, name]) => name)
    assert.ok(names.length >= 7)
    for (const name of names) {
      const { stdout, code } = await cli([...name.split(' '), '--help'])
      assert.equal(code, 0)
      for (const line of stdout.split('\n')) assert.ok(line.length <= 80 || line.startsWith('  npx '), line)
      assert.match(stdout, /^Examples:$/m)
    }
  })
})
