import { after, before, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as esbuild from 'esbuild'
import { pack, project } from './helpers/packed.mjs'
import { runProgram } from './helpers/script.mjs'

const APP = `
  async function main() {
    const cask = await openCask()
    await cask.account().keys.set({ 'lid-mapping': { a: 'b' } })
    console.log((await cask.account().keys.get('lid-mapping', ['a'])).a)
    await cask.close()
  }
  main()`

let folder
let home

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'cask-test-'))
  const { root, platform } = pack(folder)
  home = project(join(folder, 'project'), [root, platform])
  writeFileSync(join(home, 'bot.mjs'), `import { openCask } from 'baileys-cask'\n${APP}`)
  writeFileSync(join(home, 'bot.cjs'), `const { openCask } = require('baileys-cask')\n${APP}`)
})
after(() => rmSync(folder, { recursive: true, force: true }))

const bundle = (entry, options) => esbuild.build({ entryPoints: [join(home, entry)], bundle: true, platform: 'node', logLevel: 'silent', absWorkingDir: home, ...options })

async function prints(file, cwd) {
  const { code, stdout, stderr } = await runProgram(process.execPath, [file], { cwd })
  assert.deepEqual([code, stdout], [0, 'b\n'], stderr)
}

describe('a bundle', () => {
  for (const [name, options] of [['that leaves the package out', { external: ['baileys-cask'] }], ['that leaves all packages out', { packages: 'external' }]]) {
    for (const [format, entry, extension] of [['esm', 'bot.mjs', 'mjs'], ['cjs', 'bot.cjs', 'cjs']]) {
      test(`${name} works, as ${format}`, async () => {
        const outfile = join(home, 'dist', `bot.${extension}`)
        const { metafile } = await bundle(entry, { ...options, format, outfile, metafile: true })
        assert.deepEqual(Object.keys(metafile.inputs), [entry])
        await prints(outfile, home)
      })
    }
  }

  test('with a copy of the binary works where nothing is installed', async () => {
    const out = join(home, 'whole')
    await bundle('bot.cjs', { format: 'cjs', loader: { '.node': 'copy' }, outfile: join(out, 'bot.cjs') })
    const elsewhere = join(folder, 'elsewhere')
    mkdirSync(elsewhere)
    cpSync(out, elsewhere, { recursive: true })
    assert.equal(readdirSync(elsewhere).filter(name => name.endsWith('.node')).length, 1)
    await prints(join(elsewhere, 'bot.cjs'), elsewhere)
  })

  test('with a copy of the binary works as ESM, with a require of its own', async () => {
    const outfile = join(home, 'whole-esm', 'bot.mjs')
    const banner = { js: `import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)` }
    await bundle('bot.mjs', { format: 'esm', loader: { '.node': 'copy' }, outfile, banner })
    await prints(outfile, home)
  })

  test('that takes the package in and leaves the binary behind says so, before it is run', async () => {
    await assert.rejects(bundle('bot.mjs', { format: 'esm', outfile: join(home, 'none.mjs') }), /No loader is configured for "\.node" files/)
  })

  test('whose binary was lost says what is missing', async () => {
    const outfile = join(folder, 'lost', 'bot.cjs')
    await bundle('bot.cjs', { format: 'cjs', external: ['*.node', 'baileys-cask-*'], outfile })
    const { code, stderr } = await runProgram(process.execPath, [outfile], { cwd: join(folder, 'lost') })
    assert.equal(code, 1)
    assert.match(stderr, /ERR_CASK_ADDON/)
    assert.match(stderr, /A bundler must leave baileys-cask out of the bundle/)
  })
})
