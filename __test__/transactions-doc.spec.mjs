import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { channels } from '../js/channels.js'
import { detached, openCask } from '../index.mjs'
import { collect } from './helpers/casks.mjs'
import { within } from './helpers/gate.mjs'

const PAGE = readFileSync(new URL('../docs/transactions.md', import.meta.url), 'utf8')
const AsyncFunction = (async () => {}).constructor

function withResolvers() {
  let [resolve, reject] = []
  const promise = new Promise((...settle) => [resolve, reject] = settle)
  return { promise, resolve, reject }
}

const examples = PAGE.split(/^### /m).slice(1).map(section => ({
  title: section.slice(0, section.indexOf('\n')),
  code: /^```js\n(.*?)^```/ms.exec(section)?.[1],
}))

test('the page has an example for each thing that cannot happen', () => {
  assert.ok(examples.length >= 10)
  for (const { title, code } of examples) assert.match(code ?? '', /assert|inside/, title)
})

for (const { title, code } of examples) {
  test(`example: ${title}`, async t => {
    const cask = await openCask()
    t.after(() => cask.close())
    const account = cask.account()
    const names = { assert, openCask, detached, collect, withResolvers, cask, account, keys: account.keys }
    await within(5000, title, new AsyncFunction(...Object.keys(names), code)(...Object.values(names)))
    assert.deepEqual(cask.locks(), [])
  })
}

test('the page names every channel, and no other', () => {
  const named = [...PAGE.matchAll(/^\| `(baileys-cask:[a-z-]+)` \|/gm)].map(([, name]) => name)
  assert.deepEqual(named.sort(), Object.values(channels).map(({ name }) => name).sort())
})
