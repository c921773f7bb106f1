// Four accounts in two casks write to each other and to a group, in sends that go well and sends that fail.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import * as rc14 from 'baileys'
import * as v67 from '@whiskeysockets/baileys'
import { open } from './helpers/casks.mjs'
import { afterwards } from './helpers/cleanup.mjs'
import { newPath } from './helpers/folders.mjs'
import { within } from './helpers/gate.mjs'
import { handedOver, signedIn } from './loopback/casks.mjs'
import { quietLibsignal } from './loopback/console.mjs'
import { befriend, read, readFromGroup, write, writeToGroup } from './loopback/peers.mjs'

const GROUP = '120363000000000001@g.us'
const LANES = 12
const MESSAGES = 15
const CUT = new Error('the line is cut')

/** The same numbers for the same seed. */
function randomFrom(seed) {
  let state = seed
  return below => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

for (const [name, baileys] of Object.entries({ '7.0.0-rc14': rc14, '6.7.24': v67 })) describe(name, () => {
  for (const seed of [1, 2]) test(`everything that is written is read, seed ${seed}`, async t => {
    afterwards(t, quietLibsignal())
    const random = randomFrom(seed)
    const casks = [await open(t), await open(t, { path: newPath(t) })]
    const people = []
    for (const n of [0, 1, 2, 3]) people.push(handedOver(baileys, await signedIn(casks[n >> 1], { jid: `1555010000${n}:1@s.whatsapp.net`, name: `Person ${n}` })))
    for (const [n, one] of people.entries()) for (const other of people.slice(n + 1)) await befriend(one, { ...other, keys: other.account.keys })

    /** Group messages are written and read in their order; a later sender key is no use for an earlier message. */
    const lines = new Map()
    const inLine = (line, work) => {
      const turn = (lines.get(line) ?? Promise.resolve()).then(work)
      lines.set(line, turn.catch(() => {}))
      return turn
    }

    /** Does something as a part of a send, or by itself. What was done stays done when the send fails. */
    const inSend = async ({ keys }, work) => {
      const [kind, label, turns, fails, remembers] = [random(3), random(2) ? 'send' : undefined, random(4), random(4) === 0, random(3) === 0]
      if (kind === 0) return work()
      let result
      await keys.transaction(async () => {
        if (remembers) await keys.get('sender-key-memory', [GROUP])
        result = await work()
        for (let n = 0; n < turns; n++) await new Promise(setImmediate)
        await keys.set({ 'sender-key-memory': { [GROUP]: { [random(100)]: true } } })
        if (fails) throw CUT
      }, label).catch(error => {
        if (error !== CUT) throw error
      })
      return result
    }

    const lane = async lane => {
      for (let n = 0; n < MESSAGES; n++) {
        const text = `lane ${lane}, message ${n}`
        const writer = people[random(4)]
        const others = people.filter(one => one !== writer)
        if (random(5) === 0) {
          const message = await inLine(writer.jid, () => inSend(writer, () => writeToGroup(writer, GROUP, text)))
          const texts = await Promise.all(others.map(reader => inLine(`${writer.jid} ${reader.jid}`, () => inSend(reader, () => readFromGroup(reader, writer, GROUP, message)))))
          assert.deepEqual(texts, [text, text, text])
        } else {
          const reader = others[random(3)]
          const message = await inSend(writer, () => write(writer, reader, text))
          assert.equal(await inSend(reader, () => read(reader, writer, message)), text)
        }
      }
    }
    await within(30_000, 'all lanes', Promise.all(Array.from({ length: LANES }, (_, n) => lane(n))))
    for (const cask of casks) assert.deepEqual(cask.locks(), [])
  })
})
