/** What tests demand of a history that was run. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { check } from './checker.mjs'
import { tell } from './tell.mjs'

/** Fails with all that is needed to look for the reason; counts in `seen` what happened. */
export function expectNone(seed, { history, unexpected }, seen) {
  for (const { error, step } of unexpected) assert.fail(`seed ${seed}: ${error.stack}\nin ${JSON.stringify(step)}`)
  count(history, seen)
  const anomalies = check(history)
  if (anomalies.length === 0) return
  const shown = anomalies.slice(0, 5).map(({ name, message }) => `${name}: ${message}`)
  assert.fail(`seed ${seed}: ${anomalies.length} anomalies, the history is in ${keep(seed, history)}\n${shown.join('\n')}\n\n${tell(history, anomalies[0].transactions)}`)
}

/** Writes a history to a file, to be looked at later. */
export function keep(seed, history) {
  const file = join(tmpdir(), `cask-history-${process.pid}-${seed}.json`)
  writeFileSync(file, JSON.stringify(history))
  return file
}

function count({ transactions }, seen) {
  for (const { status, parent, nested, isolation, alone, error, is } of transactions) {
    for (const what of [status, error && `${status}: ${error}`, parent && `${status}, ${nested}`, isolation && `${status}, isolated`, alone && `${status}, alone`, is]) {
      if (what) seen[what] = (seen[what] ?? 0) + 1
    }
  }
}

/** What never happened was not tested. */
export function assertHappened(seen, all) {
  for (const what of all) assert.ok(seen[what] > 0, `never happened: ${what} in ${JSON.stringify(seen)}`)
}
