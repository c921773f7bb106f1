// A reporter for Node's test runner: one line for each failed test, as docs/runtimes.md names it, then why; at the end how many passed.
import { basename } from 'node:path'
import { inspect } from 'node:util'

export default async function* failures(source) {
  let passed = 0
  let failed = 0
  let skipped = 0
  for await (const { type, data } of source) {
    if (data?.details?.type === 'suite' || data?.details?.error?.failureType === 'subtestsFailed') continue
    if (type === 'test:pass') data.skip === undefined ? passed++ : skipped++
    if (type !== 'test:fail') continue
    failed++
    yield `(fail) ${basename(data.file ?? '')}: ${data.name}\n${inspect(data.details.error.cause ?? data.details.error)}\n`
  }
  yield `${passed} passed, ${failed} failed, ${skipped} skipped\n`
}
