import { readFileSync, writeFileSync } from 'node:fs'
import { machineLine } from './machine.mjs'
import { docsFile } from './paths.mjs'
import { markdownTable, RESULT_HEAD, resultRows, VERDICT_HEAD, verdictRows } from './table.mjs'

const BEGIN = '<!-- results -->'
const END = '<!-- /results -->'

/** Replaces what stands between the two markers of docs/benchmark.md with the tables of a run. */
export const writeDocs = ({ date, machine, rows, verdicts, facts }) => {
  const text = readFileSync(docsFile, 'utf8')
  const from = text.indexOf(BEGIN)
  const to = text.indexOf(END)
  if (from < 0 || to < from) throw new Error(`${docsFile} has no ${BEGIN} ... ${END}`)
  const tables = [
    `Run on ${date.slice(0, 10)}, load at the start ${machine.load.toFixed(1)}: ${machineLine(machine)}.`,
    markdownTable(VERDICT_HEAD, verdictRows(verdicts)),
    markdownTable(RESULT_HEAD, rows.flatMap(resultRows)),
    facts.map(line => `- ${line}`).join('\n')
  ]
  writeFileSync(docsFile, `${text.slice(0, from + BEGIN.length)}\n\n${tables.join('\n\n')}\n\n${text.slice(to)}`)
}
