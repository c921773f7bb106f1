import assert from 'node:assert/strict'
import { firstDifference, sharedProperties } from '../../__test__/hostile/prototypes.mjs'
import { TARGETS } from './targets.mjs'

/** Looking at everything that is shared takes as long as some hundred inputs. */
const BETWEEN_LOOKS = 10_000

/** What the fuzzer calls with each input. */
export function fuzzTarget(name) {
  const shared = sharedProperties()
  let inputs = 0
  return input => {
    TARGETS[name](input)
    if (++inputs % BETWEEN_LOOKS === 0) assert.equal(firstDifference(shared, sharedProperties()), undefined, 'what everybody shares has changed')
  }
}
