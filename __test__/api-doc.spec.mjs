import { test } from 'node:test'
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import * as cask from 'baileys-cask'
import { apiPage, currentPage } from '../scripts/api-doc.mjs'

const page = readFileSync(new URL('../docs/api.md', import.meta.url), 'utf8')

test('docs/api.md says what index.d.ts says', () => assert.equal(page, currentPage(), 'run npm run docs'))

test('every export has a section, with words beside its signature', () => {
  for (const name of Object.keys(cask).filter(name => name !== 'default')) {
    const section = page.split(/^### /m).find(text => text.startsWith(`\`${name}\`\n`))
    assert.ok(section, name)
    assert.match(section.replace(/^```ts$.*?^```$/gms, '').split('\n').slice(1).join('\n'), /\w{3}/, name)
  }
})

test('a page keeps comments, overloads, defaults, base types and links', () => {
  const made = apiPage(`// ---- things ------
/** A thing. */
export interface Thing extends Base {
  /**
   * Its size,
   * in bytes.
   * @default 5
   */
  size?: number
}
interface Base {}
type Hidden = 1
/** Makes one. */
export function make(): Thing
/** Makes one of a size. */
export function make(size: number): Thing
export function first(): void
`, ['first', 'make'])
  for (const part of [
    /## Functions\n\n### `first`\n\n```ts\nfirst\(\): void\n```\n\n### `make`/, /make\(\): Thing\nmake\(size: number\): Thing\n```\n\nMakes one\.\n\nMakes one of a size\.\n\nSee \[Thing\]\(#thing\)/,
    /## Things\n\n### `Thing`\n\n`extends Base`\n\nA thing\.\n\nSee \[Base\]\(#base\)\.\n\n- `size\?: number`<br>Its size, in bytes\. Default: 5\./,
  ]) assert.match(made, part)
  assert.doesNotMatch(made, /Hidden/)
})
