import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { cpSync, mkdirSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import ts from 'typescript'
import { PACKAGE } from './helpers/packed.mjs'
import { tempFolder } from './helpers/folders.mjs'

const TYPES = join(PACKAGE, '__test__/types')
const OURS = ['index.d.ts', 'index.d.mts']

/** Which Baileys a project has, and which of the tests compile there. */
const INSTALLS = {
  'no Baileys': { packages: [], files: ['lost.test-d.mts', 'develop.test-d.mts', 'errors.test-d.cts', 'upkeep.test-d.mts'] },
  'baileys alone': { packages: ['baileys'], files: ['lost.test-d.mts', 'develop.test-d.mts', 'errors.test-d.cts', 'baileys.test-d.mts'] },
  '@whiskeysockets/baileys alone': { packages: ['@whiskeysockets/baileys'], files: ['lost.test-d.mts', 'develop.test-d.mts', 'errors.test-d.cts', 'older.test-d.mts'] },
  'both packages': { packages: ['baileys', '@whiskeysockets/baileys'], files: ['lost.test-d.mts', 'develop.test-d.mts', 'errors.test-d.cts', 'baileys.test-d.mts', 'older.test-d.mts', 'upkeep.test-d.mts'] },
}

/** How a project may look modules up, each with other settings that matter here: the plainest, the strictest, and no `lib` of its own. */
const SETTINGS = {
  node16: { module: 'node16', moduleResolution: 'node16', target: 'ES2022' },
  nodenext: { module: 'nodenext', moduleResolution: 'nodenext', target: 'ES2023', lib: ['ES2024', 'ESNext.Disposable'], exactOptionalPropertyTypes: true },
  bundler: { module: 'preserve', moduleResolution: 'bundler', target: 'ESNext', lib: ['ESNext', 'DOM'] },
}

/** Source files are parsed once for all programs whose settings parse them alike. */
const parsed = new Map()
function hostOf(options) {
  const host = ts.createCompilerHost(options)
  const { getSourceFile } = host
  host.getSourceFile = (path, settings, ...rest) => {
    // Those of the test's own folder differ, and so does what is ESM or CommonJS by its place.
    if (!path.startsWith(join(PACKAGE, 'node_modules'))) return getSourceFile(path, settings, ...rest)
    const key = JSON.stringify([path, settings.impliedNodeFormat, settings.languageVersion, options.module])
    if (!parsed.has(key)) parsed.set(key, getSourceFile(path, settings, ...rest))
    return parsed.get(key)
  }
  return host
}

/** An empty project with our typings and some of Baileys. */
function project(t, packages, files) {
  const folder = tempFolder(t)
  const link = name => {
    mkdirSync(dirname(join(folder, 'node_modules', name)), { recursive: true })
    symlinkSync(join(PACKAGE, 'node_modules', name), join(folder, 'node_modules', name))
  }
  for (const file of [...OURS, 'index.js', 'index.mjs', 'package.json']) cpSync(join(PACKAGE, file), join(folder, 'node_modules/baileys-cask', file), { recursive: true })
  for (const name of ['@types/node', ...packages]) link(name)
  for (const file of files) cpSync(join(TYPES, file), join(folder, file))
  return folder
}

/** Errors in our typings and in the tests. Baileys' own typings have some, where libraries are checked. */
function errorsIn(folder, files, settings) {
  const { options, errors } = ts.convertCompilerOptionsFromJson({ strict: true, noUncheckedIndexedAccess: true, noEmit: true, types: ['node'], skipLibCheck: false, ...settings }, folder)
  assert.deepEqual(errors, [])
  const program = ts.createProgram(files.map(file => join(folder, file)), options, hostOf(options))
  const checked = program.getSourceFiles().filter(({ fileName }) => files.includes(fileName.slice(folder.length + 1)) || /node_modules\/baileys-cask\//.test(fileName))
  for (const file of OURS) assert.ok(checked.some(({ fileName }) => fileName.endsWith(`node_modules/baileys-cask/${file}`)), `${file} was not looked at`)
  assert.equal(checked.length, files.length + OURS.length)
  const found = [...program.getOptionsDiagnostics(), ...program.getGlobalDiagnostics(), ...checked.flatMap(file => [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)])]
  return ts.formatDiagnostics(found, { getCurrentDirectory: () => folder, getCanonicalFileName: name => name, getNewLine: () => '\n' })
}

for (const [resolution, settings] of Object.entries(SETTINGS)) {
  describe(`under moduleResolution ${resolution}, libraries checked`, () => {
    for (const [name, { packages, files }] of Object.entries(INSTALLS)) {
      test(`with ${name} the typings fit Baileys, no type is lost, and wrong uses are refused`, t => {
        assert.equal(errorsIn(project(t, packages, files), files, settings), '')
      })
    }
  })
}

test('an error in the typings is one', t => {
  const folder = project(t, [], ['lost.test-d.mts'])
  ts.sys.writeFile(join(folder, 'node_modules/baileys-cask/index.d.ts'), `${ts.sys.readFile(join(PACKAGE, 'index.d.ts'))}\nexport const wrong: NoSuchType\n`)
  assert.match(errorsIn(folder, ['lost.test-d.mts'], SETTINGS.node16), /index\.d\.ts.*Cannot find name 'NoSuchType'/)
})
