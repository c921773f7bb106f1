// A real file system that fills up: what fails is not there, what was acknowledged is, and writing goes on once there is room.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { fileURLToPath } from 'node:url'
import { runOnSmallDisk } from './helpers/small-disk.mjs'

const MAIN = fileURLToPath(new URL('./helpers/full-disk-main.mjs', import.meta.url))
/** By file system: what happens to it. One in memory, and one that promises room before it has it. */
const CASES = {
  tmpfs: ['fills', 'fills with many under way', 'is full at a close', 'is full at a kill'],
  ext4: ['fills with many under way', 'is full at a kill'],
}

for (const [kind, cases] of Object.entries(CASES)) {
  describe(`${kind} of 16 MB`, () => {
    for (const durability of ['process', 'power']) {
      for (const what of cases) {
        test(`${what} (${durability})`, { timeout: 90_000 }, async t => {
          const ended = await runOnSmallDisk(t, { kind, megabytes: 16 }, [process.execPath, MAIN, what, durability])
          if (!ended) return
          assert.equal(ended.code, 0, ended.stderr)
          // It says at the end what it has seen.
          const seen = JSON.parse(ended.stdout)
          t.diagnostic(ended.stdout.trim())
          assert.ok(seen.acknowledged > 100, 'too few writes came before the disk was full')
          assert.ok(seen.refused > 10, 'too few writes were refused')
        })
      }
    }
  })
}

describe('a small disk with less than 1 MB of records that are overwritten for ever', () => {
  for (const megabytes of [24, 64]) {
    for (const kind of ['tmpfs', 'ext4']) {
      test(`is not filled for good by what is dead (${megabytes} MB, ${kind})`, { timeout: 90_000 }, async t => {
        const ended = await runOnSmallDisk(t, { kind, megabytes }, [process.execPath, MAIN, 'is overwritten for ever', 'process'])
        if (!ended) return
        assert.equal(ended.code, 0, ended.stderr)
        t.diagnostic(ended.stdout.trim())
      })
    }
  }
})
