import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { rows } from '../rows/index.mjs'
import { sessions } from './data.mjs'
import { writeDocs } from './docs.mjs'
import { judge } from './figures.mjs'
import { findUnavailable, labelOf, runRow } from './harness.mjs'
import { limits } from './limits.mjs'
import { describeMachine, machineLine } from './machine.mjs'
import { buildSqlite } from './native.mjs'
import { readOptions, USAGE } from './options.mjs'
import { resultsFolder } from './paths.mjs'
import { makeProgress } from './progress.mjs'
import { RESULT_HEAD, resultRows, textTable, VERDICT_HEAD, verdictRows } from './table.mjs'
import { peers } from '../stores/index.mjs'

const BUSY_LOAD = 0.7

const printList = () => {
  console.log('rows')
  for (const row of rows) console.log(`  ${row.name.padEnd(22)} ${row.title}`)
  console.log('peers')
  for (const name of Object.keys({ ...peers, ...limits })) console.log(`  ${name.padEnd(22)} ${labelOf(name)}`)
}

/** Lines of a row that are no rates: descriptors, bytes on disk, shares of time. */
const factLines = (row, result) => Object.entries(result.peers)
  .map(([peer, measured]) => [peer, row.describe?.(measured, result)])
  .filter(([, text]) => text)
  .map(([peer, text]) => `${result.title}, ${labelOf(peer)}: ${text}`)

/** The whole benchmark, from the command line to the written results. */
export const main = async () => {
  const options = readOptions(process.argv.slice(2), rows.map(row => row.name))
  if (options.help) return console.log(USAGE)
  if (options.list) return printList()

  const progress = makeProgress()
  const machine = describeMachine()
  console.log(machineLine(machine))
  if (machine.load > BUSY_LOAD) {
    const load = machine.load.toFixed(1)
    console.log(`The machine is busy (load ${load}): ratios will be rough, and figures may be missed for that reason alone.`)
  }
  progress('preparing')
  const unavailable = await findUnavailable(buildSqlite(progress.say))
  await sessions()
  progress.clear()
  for (const reason of new Set(Object.values(unavailable))) {
    const without = Object.keys(unavailable).filter(peer => unavailable[peer] === reason).map(labelOf)
    console.log(`left out: ${without.join('; ')}: ${reason}`)
  }

  const chosen = rows.filter(row => !options.only || options.only.includes(row.name))
  const results = []
  for (const row of chosen) {
    const result = await runRow(row, options, unavailable, progress)
    results.push(result)
    progress.clear()
    for (const { peer, reason } of result.failed) console.log(`FAILED: ${row.title}, ${labelOf(peer)}: ${reason}`)
    progress.done(`${row.title} (${result.seconds.toFixed(1)} s)`)
  }

  const verdicts = chosen.flatMap((row, i) => judge(row, results[i]))
  const facts = chosen.flatMap((row, i) => factLines(row, results[i]))
  console.log(`\n${textTable(RESULT_HEAD, results.flatMap(resultRows))}`)
  if (facts.length) console.log(`\n${facts.join('\n')}`)
  if (verdicts.length) console.log(`\n${textTable(VERDICT_HEAD, verdictRows(verdicts))}`)

  const report = { date: new Date().toISOString(), machine, options, rows: results, verdicts, facts }
  mkdirSync(resultsFolder, { recursive: true })
  writeFileSync(join(resultsFolder, 'latest.json'), `${JSON.stringify(report, null, 2)}\n`)
  if (options.writeDocs) {
    const missing = [...Object.keys(unavailable), ...results.flatMap(result => result.failed.map(({ peer }) => peer))]
    if (missing.length) throw new Error(`docs/benchmark.md is left as it is, the run lacks: ${missing.map(labelOf).join(', ')}`)
    writeDocs(report)
  }
  if (results.some(result => result.failed.length)) process.exitCode = 1
}
