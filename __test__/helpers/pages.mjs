import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { PACKAGE } from './packed.mjs'
import { tempFolder } from './folders.mjs'
import { afterwards } from './cleanup.mjs'

const AsyncFunction = (async () => {}).constructor

/** Pages that people read. */
export const PAGES = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md', 'examples/README.md', ...readdirSync(join(PACKAGE, 'docs')).filter(name => name.endsWith('.md')).map(name => `docs/${name}`)]

export const textOf = page => readFileSync(join(PACKAGE, page), 'utf8')

/** Code blocks of a page, each with its language and the heading that it stands under. */
export function blocksOf(page) {
  const blocks = []
  let title = ''
  let block
  for (const [n, line] of textOf(page).split('\n').entries()) {
    if (block && line === '```') {
      blocks.push({ ...block, code: block.lines.join('\n') })
      block = undefined
    } else if (block) block.lines.push(line)
    else if (line.startsWith('```')) block = { page, title, line: n + 1, language: line.slice(3), lines: [] }
    else if (/^#{1,4} /.test(line)) title = line.replace(/^#+ /, '')
  }
  assert.equal(block, undefined, `a block in ${page} has no end`)
  return blocks
}

/** Imports of a module become those of `load`, which a function may hold. */
const asFunction = code => code.replace(/^import (\{[^}]*\}|\w+) from '([^']+)'.*$/gm, (_, names, from) =>
  `const ${names.startsWith('{') ? names : `{ default: ${names} }`} = load('${from}')`)

/** Runs a block with some names in sight; with `gives`, it gives what it has called so. `modules` are what it may import. */
export function run(code, names, modules = {}, gives = []) {
  const all = { ...names, load: name => modules[name] ?? assert.fail(`nothing stands in for ${name}`) }
  return new AsyncFunction(...Object.keys(all), `${asFunction(code)}\nreturn { ${gives.join(', ')} }`)(...Object.values(all))
}

/** Makes a new folder the one that relative paths lead to, until the test ends. */
export function inNewFolder(t) {
  const folder = tempFolder(t)
  const home = process.cwd()
  afterwards(t, () => process.chdir(home))
  process.chdir(folder)
  return folder
}
