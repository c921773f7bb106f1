import { test } from 'node:test'
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expectedFailures, failuresIn } from '../scripts/runtime-failures.mjs'
import { PACKAGE } from './helpers/packed.mjs'
import { runProgram } from './helpers/script.mjs'

test('what no runtime may fail at works on this one', async () => {
  const { code, stdout, stderr, late } = await runProgram(process.execPath, [join(PACKAGE, '__test__/smoke/main.mjs')], { cwd: PACKAGE, ms: 90_000 })
  assert.deepEqual([code, late], [0, false], stderr)
  assert.match(stdout, /^all parts passed$/m)
})

test('failures are told by file and title, and compared with the page', () => {
  const output = '(pass) a > b [1.00ms]\n(fail) a wait > ends late [12.34ms]\n(fail) alone\nnoise (fail) no\n'
  assert.deepEqual(failuresIn(output, 'x.spec.mjs'), ['x.spec.mjs: ends late', 'x.spec.mjs: alone'])
  assert.deepEqual(failuresIn('(fail) x.spec.mjs: ends > late\n'), ['x.spec.mjs: ends > late'])
  assert.deepEqual([...expectedFailures('## Node\n\n| `n: 1` | why |\n\n## Bun\ntext\n| test | why |\n| --- | --- |\n| `b: 1` | why |\n| `b: 2, \'x\'` | why |\n', 'Bun')], ['b: 1', "b: 2, 'x'"])
})

test('docs/runtimes.md names tests that there are', () => {
  const page = readFileSync(join(PACKAGE, 'docs/runtimes.md'), 'utf8')
  assert.deepEqual([...expectedFailures(page, 'Node')], [])
  const expected = [...expectedFailures(page, 'Bun')]
  assert.ok(expected.length > 0)
  for (const name of expected) assert.ok(existsSync(join(PACKAGE, '__test__', name.split(': ')[0])), name)
})
