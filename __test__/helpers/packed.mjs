import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { copyFileSync, cpSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const PACKAGE = fileURLToPath(new URL('../..', import.meta.url))
/** The package that brings this system's binary, as it will be on the registry. */
export const PLATFORM = readdirSync(PACKAGE).find(name => name.endsWith('.node')).replace(/^baileys-cask\.(.*)\.node$/, '$1')

/** Runs npm without the network and without scripts. */
export function npm(cwd, ...args) {
  const { status, stdout, stderr } = spawnSync('npm', [...args, '--offline', '--ignore-scripts'], { cwd, encoding: 'utf8', env: { ...process.env, npm_config_omit: '' } })
  assert.equal(status, 0, `npm ${args.join(' ')}: ${stderr}${stdout}`)
  return stdout
}

/** Packs the package, and that of this platform with its binary, as they will be published. Gives paths of the archives, and what is in the first. */
export function pack(folder) {
  const staged = join(folder, PLATFORM)
  cpSync(join(PACKAGE, 'npm', PLATFORM), staged, { recursive: true })
  copyFileSync(join(PACKAGE, `baileys-cask.${PLATFORM}.node`), join(staged, `baileys-cask.${PLATFORM}.node`))
  const archive = from => JSON.parse(npm(from, 'pack', '--json', '--pack-destination', folder))[0]
  const root = archive(PACKAGE)
  return { root: join(folder, root.filename), platform: join(folder, archive(staged).filename), files: root.files.map(({ path }) => path).sort() }
}

/** An empty project in which these archives are installed, and Baileys where it is asked for. */
export function project(folder, archives, baileys = []) {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'empty', version: '1.0.0', private: true }))
  npm(folder, 'install', '--no-audit', '--no-fund', ...archives)
  for (const name of baileys) {
    mkdirSync(dirname(join(folder, 'node_modules', name)), { recursive: true })
    symlinkSync(join(PACKAGE, 'node_modules', name), join(folder, 'node_modules', name))
  }
  return folder
}
