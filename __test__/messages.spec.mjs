import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { initAuthCreds } from 'baileys'
import { openCask, useCaskAuthState } from 'baileys-cask'
import { collect } from './helpers/casks.mjs'
import { newPath } from './helpers/folders.mjs'
import { converse, peerOf, PEOPLE, signIn } from '../demo/conversation.mjs'
import { KeyServer, routed } from '../demo/network.mjs'

const PLACES = {
  'in memory': () => ({ name: `messages ${process.pid}` }),
  'in a folder': t => ({ path: newPath(t) }),
  'in a folder without cache': t => ({ path: newPath(t), cacheBytes: 0 }),
  'in a folder, power-safe': t => ({ path: newPath(t), durability: 'power' }),
}

let lastId = 0
/** Turns of a conversation: both sides, 1:1 and in the group, several messages at once. */
const talk = turns => Array.from({ length: turns }, (_, turn) => ({
  topUp: turn === 3 ? 'ben' : undefined,
  messages: Array.from({ length: 1 + (turn % 4) }, (_, n) => {
    const id = `M${++lastId}`
    return { id, from: (turn + n) % 3 ? 'ada' : 'ben', toGroup: (turn + n) % 2 === 1, text: `${id}: turn ${turn}, message ${n} \u{1f511}` }
  }),
}))
const countOf = turns => turns.reduce((sum, { messages }) => sum + messages.length, 0)

async function signInBoth(cask, server) {
  const accounts = {}
  for (const name of ['ada', 'ben']) {
    const { state: { creds, keys }, saveCreds } = await useCaskAuthState(cask, { account: name, baileys: { initAuthCreds } })
    accounts[name] = await signIn(name, { creds, keys, saveCreds, server })
    await accounts[name].register()
  }
  return accounts
}

for (const [place, optionsFor] of Object.entries(PLACES)) describe(place, () => {
  test('two accounts exchange 1:1 and group messages, and go on after reopening', async t => {
    const options = optionsFor(t)
    const server = new KeyServer()
    // In memory a second handle keeps the store while the first is closed.
    const keeper = options.name ? await openCask(options) : undefined
    let read = 0
    let expected = 0
    let before
    for (let round = 0; round < 3; round++) {
      const cask = await openCask(options)
      const accounts = await signInBoth(cask, server)
      if (before) {
        const { creds } = accounts.ada
        assert.equal(creds.nextPreKeyId, before.nextPreKeyId)
        assert.deepEqual(Buffer.from(creds.noiseKey.private), Buffer.from(before.noiseKey.private))
      }
      const turns = talk(6)
      expected += countOf(turns)
      read += await converse(accounts, turns)
      before = accounts.ada.creds
      const { keys } = cask.account('ada')
      assert.equal((await collect(keys.listIds('session'))).length, 1)
      assert.equal((await collect(keys.listIds('sender-key'))).length, 2, 'of itself and of the other')
      for (const account of Object.values(accounts)) account.close()
      await cask.close()
    }
    assert.equal(read, expected)
    await keeper?.close()
  })

  test('a message sent before reopening is read after it, and only once', async t => {
    const options = optionsFor(t)
    const server = new KeyServer()
    const keeper = options.name ? await openCask(options) : undefined
    let cask = await openCask(options)
    let accounts = await signInBoth(cask, server)
    await converse(accounts, talk(4))
    const messages = [{ id: 'late', from: 'ada', toGroup: false, text: 'sent before' }, { id: 'late too', from: 'ben', toGroup: true, text: 'to the group' }]
    const wire = []
    for (const message of messages) wire.push(await routed(await accounts[message.from].send(message), PEOPLE[message.from]))
    const again = async () => {
      for (const account of Object.values(accounts)) account.close()
      await cask.close()
      cask = await openCask(options)
      accounts = await signInBoth(cask, server)
    }
    await again()
    for (const [n, message] of messages.entries()) assert.equal(await accounts[peerOf(message.from)].receive(wire[n]), message.text)
    await again()
    for (const [n, message] of messages.entries()) {
      await assert.rejects(accounts[peerOf(message.from)].receive(wire[n]), undefined, 'a ratchet has been turned back')
    }
    assert.equal(await converse(accounts, talk(2)), countOf(talk(2)))
    for (const account of Object.values(accounts)) account.close()
    await cask.close()
    await keeper?.close()
  })
})
