import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { openCask } from '../index.mjs'

const require = createRequire(import.meta.url)
const { calls } = require('../js/port.js')

const READ_LATER = -3
const folder = mkdtempSync(join(tmpdir(), 'cask-cold-'))
after(() => rmSync(folder, { recursive: true, force: true }))

/** Makes the operating system forget the pages of every segment; coreutils' dd has a flag for that. */
function dropPages() {
  for (const name of readdirSync(folder).filter((name) => name.endsWith('.seg'))) {
    execFileSync('dd', [`if=${join(folder, name)}`, 'iflag=nocache', 'count=0', 'status=none'])
  }
}

/** Runs `work` and gives what the core answered to its reads. */
async function answersDuring(work) {
  const real = calls.get
  const answers = []
  calls.get = (...args) => {
    const answer = real(...args)
    answers.push(answer)
    return answer
  }
  try {
    await work()
  } finally {
    calls.get = real
  }
  return answers
}

const value = (i) => ({ token: Buffer.alloc(2000, i), timestamp: String(i) })

async function withCold(work) {
  const first = await openCask({ path: folder })
  await first.account().keys.set({ tctoken: Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`id${i}`, value(i)])) })
  await first.close()
  const cask = await openCask({ path: folder, cacheBytes: 0 })
  try {
    await work(cask.account().keys)
  } finally {
    await cask.close()
  }
}

test('values that the operating system has in memory are read on the calling thread', async () => {
  await withCold(async (keys) => {
    await keys.get('tctoken', ['id3'])
    const answers = await answersDuring(async () => {
      assert.deepEqual(await keys.get('tctoken', ['id3']), { id3: value(3) })
    })
    assert.equal(answers.length, 1)
    assert.ok(answers[0] > 0, `answered ${answers[0]}`)
  })
})

test('values that are on disk only are read off the calling thread, in and out of transactions', async (t) => {
  await withCold(async (keys) => {
    dropPages()
    const probe = await answersDuring(() => keys.get('tctoken', ['id0']))
    if (probe[0] !== READ_LATER) return t.skip('this file system keeps its pages, or cannot tell whether it has them')
    dropPages()
    const answers = await answersDuring(async () => {
      const ids = Array.from({ length: 20 }, (_, i) => `id${i}`)
      const read = await keys.get('tctoken', [...ids, 'absent'])
      assert.deepEqual(read, Object.fromEntries(ids.map((id, i) => [id, value(i)])))
    })
    assert.deepEqual(answers, [READ_LATER])
    await keys.transaction(async (tx) => {
      await tx.set({ tctoken: { id1: null, id2: value(99) } })
      dropPages()
      const inside = await answersDuring(async () => {
        assert.deepEqual(await tx.get('tctoken', ['id0', 'id1', 'id2']), { id0: value(0), id2: value(99) })
      })
      assert.deepEqual(inside, [READ_LATER])
    })
  })
})

test('a listing of cold values gives them all', async () => {
  await withCold(async (keys) => {
    dropPages()
    const seen = new Map()
    for await (const [id, found] of keys.list('tctoken')) seen.set(id, found)
    assert.equal(seen.size, 20)
    assert.deepEqual(seen.get('id7'), value(7))
  })
})
