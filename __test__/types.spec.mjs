import { test } from 'node:test'
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { tempFolder } from './helpers/folders.mjs'

const PACKAGE = fileURLToPath(new URL('..', import.meta.url))
const TSC = createRequire(import.meta.url).resolve('typescript/bin/tsc')

function compile(project) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [TSC, '-p', project], { encoding: 'utf8' })
  assert.equal(status, 0, stdout + stderr)
}

test('the typings fit Baileys and refuse wrong uses', () => compile(join(PACKAGE, '__test__/types')))

// A package that is not installed turns into a type that accepts everything, and can take the others with it.
const INSTALLS = {
  'no Baileys': [],
  '@whiskeysockets/baileys alone': ['@whiskeysockets/baileys'],
  'both packages': ['baileys', '@whiskeysockets/baileys'],
}
for (const [name, packages] of Object.entries(INSTALLS)) {
  test(`with ${name} installed no type is lost`, t => {
    const folder = tempFolder(t)
    const home = join(folder, 'node_modules')
    mkdirSync(join(home, 'baileys-cask'), { recursive: true })
    for (const file of ['index.d.ts', 'index.d.mts', 'index.js', 'index.mjs', 'package.json']) copyFileSync(join(PACKAGE, file), join(home, 'baileys-cask', file))
    for (const dependency of readdirSync(join(PACKAGE, 'node_modules'))) {
      if (!['baileys', '@whiskeysockets', '.bin', '.package-lock.json'].includes(dependency)) symlinkSync(join(PACKAGE, 'node_modules', dependency), join(home, dependency))
    }
    for (const dependency of packages) {
      if (dependency.includes('/')) mkdirSync(join(home, dependency.split('/')[0]))
      // The types are those of 7.0.0-rc14 under either name.
      symlinkSync(join(PACKAGE, 'node_modules/baileys'), join(home, dependency))
    }
    copyFileSync(join(PACKAGE, '__test__/types/tsconfig.json'), join(folder, 'tsconfig.json'))
    writeFileSync(join(folder, 'probe.mts'), `
      import type { AppStateSyncKey, AuthCreds, AuthCredsLike, FamilyMap } from 'baileys-cask'
      type IsAny<T> = 0 extends 1 & T ? true : false
      export const lost: [IsAny<AuthCreds>, IsAny<AuthCredsLike>, IsAny<AppStateSyncKey>, IsAny<FamilyMap[keyof FamilyMap]>] = [false, false, false, false]
      // @ts-expect-error -- creds are an object
      export const creds: AuthCreds = 1
      // @ts-expect-error -- so is an app state sync key
      export const key: AppStateSyncKey = 1
      export const keyData: Uint8Array | null | undefined = (undefined as unknown as AppStateSyncKey).keyData`)
    compile(folder)
  })
}
