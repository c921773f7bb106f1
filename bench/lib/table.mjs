import { labelOf } from './harness.mjs'

const isNumeric = text => /^[~<>-]?[\d.,]+[kM]?( ?(x|%|us|ms|ns))?$/.test(text)

/** Aligned columns; a column whose cells are all numbers is set flush right. */
export const textTable = (head, rows) => {
  const right = head.map((_, i) => rows.every(row => row[i] === '' || row[i] === '-' || isNumeric(row[i])))
  const width = head.map((title, i) => Math.max(title.length, ...rows.map(row => row[i].length)))
  const line = cells => cells
    .map((cell, i) => right[i] ? cell.padStart(width[i]) : cell.padEnd(width[i]))
    .join('  ').trimEnd()
  return [line(head), width.map(n => '-'.repeat(n)).join('  '), ...rows.map(line)].join('\n')
}

const cell = text => text.replaceAll('|', '\\|')

export const markdownTable = (head, rows) => [
  `| ${head.map(cell).join(' | ')} |`,
  `| ${head.map((_, i) => rows.every(row => row[i] === '' || row[i] === '-' || isNumeric(row[i])) ? '---:' : '---').join(' | ')} |`,
  ...rows.map(row => `| ${row.map(cell).join(' | ')} |`)
].join('\n')

const rate = value => {
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)}M`
  if (value >= 1e5) return `${Math.round(value / 1e3)}k`
  if (value >= 1e3) return `${(value / 1e3).toFixed(1)}k`
  return value >= 100 ? value.toFixed(0) : value.toFixed(1)
}

const factor = value => value >= 100 ? `${value.toFixed(0)}x` : value >= 10 ? `${value.toFixed(1)}x` : `${value.toFixed(2)}x`

export const RESULT_HEAD = ['work', 'peer', 'median', 'unit', 'cask / peer', 'spread']

/** One line per peer of a row; the work is named on its first line. */
export const resultRows = result => {
  const ours = result.peers[result.ours]
  return Object.entries(result.peers).map(([peer, { median, spread }], i) => [
    i === 0 ? result.title : '',
    labelOf(peer),
    rate(median),
    result.unit,
    ours ? peer === result.ours ? '1x' : factor(ours.median / median) : '-',
    `${(spread * 100).toFixed(0)}%`
  ])
}

export const VERDICT_HEAD = ['figure', 'required', 'measured', 'reached']

export const verdictRows = verdicts => verdicts.map((verdict, i) => [
  verdict.work === verdicts[i - 1]?.work ? '' : verdict.work,
  verdict.required,
  verdict.measured ?? 'not measured',
  verdict.reached === undefined ? '-' : verdict.reached ? 'yes' : 'NO'
])
