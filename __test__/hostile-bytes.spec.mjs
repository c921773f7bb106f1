// Bytes that no encoder wrote, in the place of values and of Baileys' files: an error of the right kind or a value, never more memory than
// the bytes bear out, never a look beyond them, never a changed prototype. First those that a fuzzer has found telling, then mutations.
// CASK_FUZZ=seconds mutates for so much processor time, with other seeds.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { checkEncoded, checkFile, encodedSamples, FAMILIES, fileSamples } from './hostile/decoders.mjs'
import { mutations } from './hostile/mutations.mjs'
import { firstDifference, sharedProperties } from './hostile/prototypes.mjs'
import { budget, LIMIT } from './hostile/budget.mjs'
import { TARGETS } from '../fuzz/js/targets.mjs'

const INPUTS = 6_000

/** Runs a check on mutations of samples: some thousand, or for some time. */
function fuzz(t, parts, samples, check) {
  const { spent, isLeft } = budget(parts)
  let [seed, inputs, accepted] = [20_271, 0, 0]
  do {
    let left = INPUTS
    for (const bytes of mutations(samples, seed++)) {
      if (check(bytes)) accepted++
      inputs++
      if (--left === 0) break
    }
  } while (isLeft())
  t.diagnostic(`${inputs} inputs, ${accepted} of them accepted, seeds 20271 to ${seed - 1}, ${spent().toFixed(0)} s of a processor`)
  assert.ok(accepted > 0 && accepted < inputs, 'some are accepted and some are not')
}

const shared = sharedProperties()
const unchanged = () => assert.equal(firstDifference(shared, sharedProperties()), undefined, 'what everybody shares has changed')
const PARTS = FAMILIES.length + 1

for (const [name, run] of Object.entries(TARGETS)) {
  test(`what was telling for ${name}`, () => {
    const folder = join(import.meta.dirname, '../fuzz/js/seeds', name)
    const accepted = readdirSync(folder).map(file => run(readFileSync(join(folder, file))))
    assert.ok(accepted.includes(true) && accepted.includes(false), 'some are accepted and some are not')
    unchanged()
  })
}

for (const family of FAMILIES) {
  test(`encoded values of ${family}`, LIMIT, t => {
    fuzz(t, PARTS, encodedSamples(family), bytes => checkEncoded(family, bytes))
    unchanged()
  })
}

test('files of Baileys', LIMIT, t => {
  let turn = 0
  fuzz(t, PARTS, fileSamples(), bytes => checkFile(FAMILIES[turn++ % FAMILIES.length], bytes))
  unchanged()
})
