// Runs the tests on other JavaScript runtimes, which come from the npm registry. docs/runtimes.md says what this is for.
//
//   node scripts/runtimes.mjs smoke [name...]   what no runtime may fail at, some seconds each
//   node scripts/runtimes.mjs suite [name...]   the whole Node suite, minutes each
//
// The npm packages `node` and `bun` fetch their binaries in install scripts. Those binaries are packages too, and are installed
// without any script.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expectedFailures, failuresIn } from './runtime-failures.mjs'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const HOME = join(ROOT, '.runtimes')
const SYSTEM = { win32: 'win' }[process.platform] ?? process.platform
const BUN_ARCHITECTURE = { arm64: 'aarch64' }[process.arch] ?? process.arch

const nodeOf = version => ({ source: `node-${SYSTEM}-${process.arch}@${version}`, binary: process.platform === 'win32' ? 'bin/node.exe' : 'bin/node', bun: false })
const RUNTIMES = {
  node20: nodeOf('20'),
  node22: nodeOf('22'),
  node24: nodeOf('24'),
  'node-newest': nodeOf('latest'),
  bun: { source: `@oven/bun-${process.platform === 'win32' ? 'windows' : process.platform}-${BUN_ARCHITECTURE}@latest`, binary: process.platform === 'win32' ? 'bin/bun.exe' : 'bin/bun', bun: true },
}

const [, , mode, ...asked] = process.argv
const names = asked.length > 0 ? asked : Object.keys(RUNTIMES)
const strange = names.filter(name => !(name in RUNTIMES))
if (!['smoke', 'suite'].includes(mode) || strange.length > 0) {
  console.error(`usage: node scripts/runtimes.mjs smoke|suite [${Object.keys(RUNTIMES).join('|')}]...`)
  process.exit(2)
}

/** Installs what is missing, each in a folder of its own. Gives the binary's path. */
function install(name) {
  const folder = join(HOME, name)
  const { source, binary } = RUNTIMES[name]
  const path = join(folder, 'node_modules', source.slice(0, source.lastIndexOf('@')), binary)
  if (existsSync(path)) return path
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n')
  const { status } = spawnSync('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--no-package-lock', '--loglevel=error', source], { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'], shell: process.platform === 'win32' })
  if (status !== 0 || !existsSync(path)) throw new Error(`${source} could not be installed`)
  return path
}

/** Runs a program with its output on ours as well. Gives its exit code and output. */
function run(path, args) {
  // What one runtime starts by the name `node` or by npm is that runtime's too.
  const child = spawn(path, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, NODE_OPTIONS: '' } })
  return new Promise((resolve, reject) => {
    let output = ''
    child.stdout.setEncoding('utf8').on('data', text => (output += text))
    child.on('error', reject)
    child.on('close', code => resolve({ code, output }))
  })
}

const specs = () => readdirSync(join(ROOT, '__test__')).filter(name => name.endsWith('.spec.mjs')).map(name => join('__test__', name))

/** The suite on Node: one process runs all. */
async function suiteOnNode(path) {
  const { code, output } = await run(path, ['--test', '--test-concurrency=3', '--test-timeout=180000', '--test-reporter=./scripts/failures-reporter.mjs', ...specs()])
  return { code, failures: failuresIn(output), output }
}

/** The suite on Bun: a process for each file, which may crash or hang alone. */
async function suiteOnBun(path) {
  const failures = []
  let code = 0
  let output = ''
  for (const spec of specs()) {
    const one = spawnSync(path, ['test', '--timeout=180000', `./${spec}`], { cwd: ROOT, encoding: 'utf8', timeout: 300_000, killSignal: 'SIGKILL' })
    output += `== ${spec}\n${one.stdout}${one.stderr}`
    if (one.status === 0) continue
    code = 1
    const file = basename(spec)
    const found = failuresIn(one.stderr, file)
    failures.push(...(found.length > 0 ? found : [`${file}: (the file as a whole)`]))
  }
  return { code, failures, output }
}

let failed = false
for (const name of names) {
  const path = install(name)
  const { bun } = RUNTIMES[name]
  const version = spawnSync(path, ['--version'], { encoding: 'utf8' }).stdout.trim()
  const began = Date.now()
  let problems
  if (mode === 'smoke') {
    const { code, output } = await run(path, ['__test__/smoke/main.mjs'])
    problems = code === 0 && output.includes('all parts passed') ? [] : [`exit code ${code}\n${output}`]
  } else {
    const { code, failures, output } = await (bun ? suiteOnBun : suiteOnNode)(path)
    writeFileSync(join(HOME, `${name}.log`), output)
    const expected = expectedFailures(readFileSync(join(ROOT, 'docs/runtimes.md'), 'utf8'), bun ? 'Bun' : 'Node')
    problems = failures.filter(failure => !expected.has(failure))
    if (code !== 0 && failures.length === 0) problems.push(`exit code ${code}`)
    console.log(`${name}: ${failures.length} tests failed, ${failures.length - problems.length} of them as docs/runtimes.md says; all is in .runtimes/${name}.log`)
  }
  console.log(`${name} (${version}), ${mode}: ${problems.length === 0 ? 'passed' : 'FAILED'} after ${((Date.now() - began) / 1000).toFixed(1)} s`)
  for (const problem of problems) console.log(`  ${problem}`)
  failed ||= problems.length > 0
}
process.exit(failed ? 1 : 0)
