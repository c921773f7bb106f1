import { after, before, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join, posix } from 'node:path'
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import * as cask from 'baileys-cask'
import { pack, PACKAGE, PLATFORM, project } from './helpers/packed.mjs'
import { runProgram } from './helpers/script.mjs'

const require = createRequire(import.meta.url)
const manifest = require('../package.json')
const NAMES = Object.keys(cask).filter(name => name !== 'default').sort()

let folder
let packed
/** A project beside Baileys, and one to which the platform's package was not installed. */
let whole
let bare

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'cask-test-'))
  packed = pack(folder)
  whole = project(join(folder, 'whole'), [packed.root, packed.platform], ['baileys'])
  bare = project(join(folder, 'bare'), [packed.root])
})
after(() => rmSync(folder, { recursive: true, force: true }))

/** Runs a piece of CommonJS, or of ESM, in a project. */
function run(home, source, { esm = false, nodeArguments = [], preload, env } = {}) {
  if (preload !== undefined) writeFileSync(join(home, 'preload.cjs'), preload)
  return runProgram(process.execPath, [...nodeArguments, ...(preload === undefined ? [] : ['--require', './preload.cjs']), `--input-type=${esm ? 'module' : 'commonjs'}`, '--eval', source],
    { cwd: home, env: { ...process.env, NAPI_RS_NATIVE_LIBRARY_PATH: '', ...env } })
}

/** The error that loading the package throws. */
async function refusal(home, options) {
  const { code, stdout, stderr } = await run(home, `
    try { require('baileys-cask'); console.log('{}') } catch ({ name, code, retryable, message, cause }) { console.log(JSON.stringify({ name, code, retryable, message, cause: cause?.message })) }
  `, options)
  assert.equal(code, 0, stderr)
  const error = JSON.parse(stdout)
  assert.deepEqual({ name: error.name, code: error.code, retryable: error.retryable }, { name: 'CaskError', code: 'ERR_CASK_ADDON', retryable: false })
  assert.ok(error.cause)
  return error.message
}

/** Opens the drop-in, writes, closes, and reads it again. */
const USE = `
  const path = require('node:path').join(require('node:fs').mkdtempSync(require('node:path').join(require('node:os').tmpdir(), 'cask-test-')), 'auth')
  const first = await useCaskAuthState(path)
  await first.state.keys.set({ 'lid-mapping': { 4917000: '8812' } })
  await first.saveCreds()
  await first.close()
  const second = await useCaskAuthState(path)
  const found = await second.state.keys.get('lid-mapping', ['4917000'])
  const same = second.state.creds.registrationId === first.state.creds.registrationId
  await second.close()
  require('node:fs').rmSync(path, { recursive: true })
  console.log(JSON.stringify({ names, found, same }))`

describe('the packed package', () => {
  test('works by require, beside Baileys, with scripts disabled', async () => {
    const { code, stdout, stderr } = await run(whole, `(async () => { const { useCaskAuthState, ...rest } = require('baileys-cask'); const names = ['useCaskAuthState', ...Object.keys(rest)].sort(); ${USE} })()`)
    assert.equal(code, 0, stderr)
    assert.deepEqual(JSON.parse(stdout), { names: NAMES, found: { 4917000: '8812' }, same: true })
  })

  test('works by import, with the same names', async () => {
    const { code, stdout, stderr } = await run(whole, `
      import { createRequire } from 'node:module'
      import * as all from 'baileys-cask'
      const require = createRequire(import.meta.url ?? 'file:///'), { useCaskAuthState } = all, names = Object.keys(all).sort(); ${USE}`, { esm: true })
    assert.equal(code, 0, stderr)
    assert.deepEqual(JSON.parse(stdout), { names: NAMES, found: { 4917000: '8812' }, same: true })
  })

  test('works beside Baileys 6.7', async () => {
    const older = project(join(folder, 'older'), [packed.root, packed.platform], ['@whiskeysockets/baileys'])
    const { code, stdout, stderr } = await run(older, `(async () => { const { useCaskAuthState } = require('baileys-cask'), names = []; ${USE} })()`)
    assert.equal(code, 0, stderr)
    assert.deepEqual(JSON.parse(stdout), { names: [], found: { 4917000: '8812' }, same: true })
  })

  test('is one and the same by require and by import', async () => {
    const { code, stderr } = await run(whole, `import('baileys-cask').then(m => { if (m.CaskError !== require('baileys-cask').CaskError) process.exit(3) })`)
    assert.equal(code, 0, stderr)
  })

  test('brings nothing with it and runs nothing', () => {
    const installed = JSON.parse(readFileSync(join(whole, 'node_modules/baileys-cask/package.json'), 'utf8'))
    for (const field of ['dependencies', 'optionalDependencies', 'bundleDependencies']) assert.equal(installed[field], undefined, field)
    for (const script of ['preinstall', 'install', 'postinstall', 'prepare', 'prepublish']) assert.equal(installed.scripts[script], undefined, script)
    assert.deepEqual(readdirSync(join(bare, 'node_modules')).filter(name => !name.startsWith('.')), ['baileys-cask'])
    assert.equal(installed.peerDependenciesMeta.baileys.optional && installed.peerDependenciesMeta['@whiskeysockets/baileys'].optional, true)
  })

  test('is what publint asks for', async () => {
    const { messages, pkg } = await publint({ pack: { tarball: new Uint8Array(readFileSync(packed.root)).buffer }, strict: true })
    assert.deepEqual(messages.map(message => formatMessage(message, pkg)), [])
  })

  test('has typings that are right however it is resolved', async () => {
    const { types, problems, entrypoints } = await checkPackage(createPackageFromTarballData(new Uint8Array(readFileSync(packed.root))))
    assert.deepEqual({ types, problems }, { types: { kind: 'included' }, problems: [] })
    const resolved = Object.entries(entrypoints['.'].resolutions).map(([kind, { resolution }]) => [kind, resolution?.fileName.split('/').at(-1)])
    assert.deepEqual(Object.fromEntries(resolved), { node10: 'index.d.ts', 'node16-cjs': 'index.d.ts', 'node16-esm': 'index.d.mts', bundler: 'index.d.mts' })
  })

  test('has every file that it loads or names, and no other kind', () => {
    for (const name of ['README.md', 'LICENSE', 'CHANGELOG.md', 'SECURITY.md', 'docs/errors.md']) assert.ok(packed.files.includes(name), name)
    for (const listed of manifest.files) assert.ok(packed.files.some(file => file === listed || file.startsWith(listed)), `${listed} is named in files and not there`)
    const strange = packed.files.filter(file => !/^(js\/.+\.js|bin\/.+\.m?js|docs\/[a-z-]+\.md|examples\/([a-z]+\/)?[a-z-]+\.mjs|examples\/README\.md|index\.(m?js|d\.m?ts)|binding\.(js|d\.ts)|package\.json|(README|CHANGELOG|SECURITY)\.md|LICENSE)$/.test(file))
    assert.deepEqual(strange, [])
  })

  test('has what its pages link to', () => {
    const missing = []
    for (const page of packed.files.filter(file => file.endsWith('.md'))) {
      for (const [, link] of readFileSync(join(PACKAGE, page), 'utf8').matchAll(/\]\((?!\w+:|#)([^)#]+)/g)) {
        const file = posix.join(posix.dirname(page), link)
        if (!packed.files.includes(file)) missing.push(`${page}: ${link}`)
      }
    }
    assert.deepEqual(missing, [])
  })
})

describe('the platform packages', () => {
  const platforms = readdirSync(join(PACKAGE, 'npm'))

  test('there is one for each target, of the same version', () => {
    assert.equal(platforms.length, manifest.napi.targets.length)
    for (const platform of platforms) {
      const { name, version, files, engines, license, publishConfig, repository, scripts } = require(`../npm/${platform}/package.json`)
      assert.deepEqual({ name, version, files, scripts }, { name: `baileys-cask-${platform}`, version: manifest.version, files: [`baileys-cask.${platform}.node`], scripts: undefined })
      assert.deepEqual({ engines, license, publishConfig, repository }, { engines: manifest.engines, license: manifest.license, publishConfig: manifest.publishConfig, repository: manifest.repository })
    }
  })

  test('that of this platform brings its binary', () => {
    assert.ok(existsSync(join(whole, `node_modules/baileys-cask-${PLATFORM}/baileys-cask.${PLATFORM}.node`)))
  })
})

describe('where the addon cannot be loaded', () => {
  test('a missing platform package is named', async () => {
    const message = await refusal(bare)
    assert.match(message, new RegExp(`the package baileys-cask-${PLATFORM}, which brings the binary for ${process.platform} ${process.arch}, is not installed`))
    assert.match(message, /--omit=optional.*package-lock\.json/)
  })

  test('so it is when it is imported', async () => {
    // The exit code is left alone: Node 20 reports what a CommonJS module throws while it is imported once more, as unhandled.
    const { stdout } = await run(bare, `import('baileys-cask').catch(error => console.log(error.code))`, { esm: true })
    assert.equal(stdout, 'ERR_CASK_ADDON\n')
  })

  test('on musl, that of musl', { skip: PLATFORM !== 'linux-x64-gnu' }, async () => {
    const message = await refusal(whole, { preload: `
      const fs = require('node:fs'), { readFileSync } = fs
      fs.readFileSync = (path, ...rest) => path === '/usr/bin/ldd' ? 'musl libc' : readFileSync(path, ...rest)` })
    assert.match(message, /the package baileys-cask-linux-x64-musl, which brings/)
  })

  for (const [name, preload, expected] of [
    ['an architecture that has none', `Object.defineProperty(process, 'arch', { value: 'riscv64' })`, /no binary for linux riscv64 \(baileys-cask-linux-riscv64-gnu\)\. There are such for linux-x64-gnu, linux-arm64-gnu, linux-x64-musl, .*win32-x64-msvc/],
    ['one that the loader does not know', `Object.defineProperty(process, 'arch', { value: 'mips' })`, /no binary for linux mips\. /],
    ['a system that has none', `Object.defineProperty(process, 'platform', { value: 'sunos' })`, /no binary for sunos x64\. .*built from source/],
    ['another architecture that has one', `Object.defineProperty(process, 'arch', { value: 'arm64' })`, /the package baileys-cask-linux-arm64-gnu, which brings the binary for linux arm64, is not installed/],
  ]) {
    test(`${name} is told`, { skip: PLATFORM !== 'linux-x64-gnu' }, async () => assert.match(await refusal(whole, { preload }), expected))
  }

  test('a binary that the system refuses is told with its reason', async t => {
    const broken = project(join(folder, 'broken'), [packed.root, packed.platform])
    t.after(() => rmSync(broken, { recursive: true }))
    writeFileSync(join(broken, `node_modules/baileys-cask-${PLATFORM}/baileys-cask.${PLATFORM}.node`), 'no library')
    assert.match(await refusal(broken), /a binary is there, but this system refuses it: .*baileys-cask.*\. Was node_modules made on another system/s)
  })

  const permission = process.allowedNodeEnvironmentFlags.has('--permission') ? '--permission' : '--experimental-permission'
  test('the permission model without --allow-addons is told, and with it all works', { skip: process.versions.bun !== undefined }, async () => {
    // No file may be written by JavaScript: what an addon does is not looked at.
    const nodeArguments = [permission, '--allow-fs-read=*', '--no-warnings']
    assert.match(await refusal(whole, { nodeArguments }), /refuses addons\. Start it with --allow-addons/)
    const { code, stdout, stderr } = await run(whole, `(async () => {
      const cask = await require('baileys-cask').openCask({ path: ${JSON.stringify(join(folder, 'permitted'))} })
      await cask.account().keys.set({ 'lid-mapping': { a: 'b' } })
      await cask.flush()
      console.log((await cask.account().keys.get('lid-mapping', ['a'])).a)
    })()`, { nodeArguments: [...nodeArguments, '--allow-addons'] })
    assert.deepEqual([code, stdout], [0, 'b\n'], stderr)
  })

  test('so is --no-addons', { skip: process.versions.bun !== undefined }, async () => assert.match(await refusal(whole, { nodeArguments: ['--no-addons'] }), /without --no-addons/))
})
