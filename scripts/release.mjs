// What the release workflow does around building and testing.
//
//   node scripts/release.mjs check TAG           one version everywhere, and the changelog speaks of it
//   node scripts/release.mjs binaries            every platform package has its binary, built for that platform
//   node scripts/release.mjs publish [--dry-run] the platform packages, then the package; what is on the registry already is left out
//
// Before `publish`, `napi pre-publish` has written the platform packages into `optionalDependencies`.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { platformOf } from './binary-kind.mjs'

const json = path => JSON.parse(readFileSync(path, 'utf8'))
const platforms = () => readdirSync('npm').sort()

function fail(message) {
  console.error(message)
  process.exit(1)
}

function check(tag) {
  const { version } = json('package.json')
  if (tag !== `v${version}`) fail(`the tag is ${tag} and package.json says ${version}`)
  const crate = /^version = "(.*)"$/m.exec(readFileSync('Cargo.toml', 'utf8'))?.[1]
  if (crate !== version) fail(`Cargo.toml says ${crate} and package.json ${version}`)
  for (const platform of platforms()) {
    const { version: its } = json(`npm/${platform}/package.json`)
    if (its !== version) fail(`npm/${platform} says ${its} and package.json ${version}: run napi create-npm-dirs`)
  }
  const heading = readFileSync('CHANGELOG.md', 'utf8').split('\n').find(line => line.startsWith(`## ${version}`))
  if (heading === undefined || heading.includes('not released')) fail(`CHANGELOG.md has no section for a released ${version}`)
  console.log(`${tag} is one version everywhere`)
}

function binaries() {
  const { targets, binaryName } = json('package.json').napi
  if (platforms().length !== targets.length) fail(`there are ${platforms().length} platform packages for ${targets.length} targets`)
  for (const platform of platforms()) {
    const path = join('npm', platform, `${binaryName}.${platform}.node`)
    if (!existsSync(path)) fail(`${path} is missing`)
    const built = platformOf(readFileSync(path))
    if (built !== platform) fail(`${path} was built for ${built ?? 'no platform that is known'}`)
  }
  console.log(`${targets.length} binaries are there, each for its platform`)
}

function npm(...args) {
  const { status, stdout, stderr } = spawnSync('npm', args, { encoding: 'utf8', shell: process.platform === 'win32' })
  return { status, output: `${stdout}${stderr}`, stdout }
}

/** Whether this very version is on the registry: then an earlier run has got that far. */
function isPublished(name, version) {
  const { status, stdout, output } = npm('view', `${name}@${version}`, 'version', '--json')
  if (status === 0) return stdout.trim() !== ''
  if (/E404|No match/i.test(output)) return false
  return fail(`the registry did not say whether ${name}@${version} is there: ${output}`)
}

function publish(dryRun) {
  const root = json('package.json')
  const expected = Object.fromEntries(platforms().map(platform => [`${root.name}-${platform}`, root.version]))
  const listed = root.optionalDependencies ?? {}
  if (JSON.stringify(Object.entries(listed).sort()) !== JSON.stringify(Object.entries(expected).sort())) fail('optionalDependencies are not the platform packages at this version: run napi pre-publish')
  const tag = root.version.includes('-') ? 'next' : 'latest'
  // The package last: whoever installs it finds what it wants.
  for (const folder of [...platforms().map(platform => join('npm', platform)), '.']) {
    const { name, version } = json(join(folder, 'package.json'))
    if (!dryRun && isPublished(name, version)) {
      console.log(`${name}@${version} is there already`)
      continue
    }
    const { status, output } = npm('publish', `./${folder}`, '--access', 'public', '--tag', tag, '--ignore-scripts', ...(dryRun ? ['--dry-run'] : ['--provenance']))
    if (status !== 0) fail(`${name}@${version} was not published: ${output}`)
    console.log(`${name}@${version}${dryRun ? ' would be' : ''} published as ${tag}`)
  }
}

const [, , command, argument] = process.argv
if (command === 'check' && argument) check(argument)
else if (command === 'binaries') binaries()
else if (command === 'publish') publish(argument === '--dry-run')
else fail('usage: node scripts/release.mjs check TAG | binaries | publish [--dry-run]')
