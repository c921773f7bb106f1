import { test } from 'node:test'
import assert from 'node:assert/strict'
import { channels } from '../js/channels.js'
import { detached, openCask, withCask } from '../index.mjs'
import { collect } from './helpers/casks.mjs'
import { within } from './helpers/gate.mjs'
import { silent } from '../demo/conversation.mjs'
import { blocksOf, run, textOf } from './helpers/pages.mjs'

const PAGE = 'docs/transactions.md'

function withResolvers() {
  let [resolve, reject] = []
  const promise = new Promise((...settle) => [resolve, reject] = settle)
  return { promise, resolve, reject }
}

/** The example that needs a socket, which with-cask-sockets.spec.mjs has. */
const SOCKET = 'A whole socket: `withCask`'
const examples = blocksOf(PAGE).filter(({ language }) => language === 'js')

test('the page has an example for each thing that cannot happen', () => {
  assert.equal(examples.length, [...textOf(PAGE).matchAll(/^```js/gm)].length)
  assert.ok(examples.length >= 10)
  for (const { title, code } of examples) if (title !== SOCKET) assert.match(code, /assert|inside/, title)
})

for (const { title, code } of examples) {
  test(`example: ${title}`, async t => {
    const cask = await openCask()
    t.after(() => cask.close())
    const account = cask.account()
    const names = { assert, openCask, detached, collect, withResolvers, cask, account, keys: account.keys, ...(title === SOCKET ? socketNames(account) : {}) }
    await within(5000, title, run(code, names))
    assert.deepEqual(cask.locks(), [])
  })
}

function socketNames({ keys }) {
  const makeWASocket = ({ auth, makeSignalRepository }) => {
    assert.equal(auth.keys, keys)
    assert.equal(typeof makeSignalRepository, 'function')
  }
  return { withCask, makeWASocket, state: { creds: {}, keys }, logger: silent }
}

test('the page names every channel, and no other', () => {
  const named = [...textOf(PAGE).matchAll(/^\| `(baileys-cask:[a-z-]+)` \|/gm)].map(([, name]) => name)
  assert.deepEqual(named.sort(), Object.values(channels).map(({ name }) => name).sort())
})
