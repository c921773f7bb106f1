import { parseArgs } from 'node:util'
import { peers } from '../stores/index.mjs'
import { limits } from './limits.mjs'

export const USAGE = `Usage: node run.mjs [options]

  --quick           few and short rounds: does it run at all? Its ratios are rough
  --only <row,...>  these rows only
  --peers <a,b>     these peers only (cask is a peer like the others)
  --rounds <n>      rounds per row
  --isolate         every peer of every row in a process of its own
  --write-docs      put the tables into docs/benchmark.md; needs a full run
  --list            names of rows and peers
  --help`

const list = (text, known, what) => {
  const names = text.split(',').map(name => name.trim()).filter(Boolean)
  for (const name of names) {
    if (!known.includes(name)) throw new Error(`unknown ${what} '${name}'; known: ${known.join(', ')}`)
  }
  if (names.length === 0) throw new Error(`no ${what} given`)
  return names
}

/** The options of a command line; throws a sentence for a person where they make no sense. */
export const readOptions = (argv, rowNames) => {
  const { values } = parseArgs({
    args: argv,
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string' },
      peers: { type: 'string' },
      rounds: { type: 'string' },
      isolate: { type: 'boolean', default: false },
      'write-docs': { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false }
    }
  })
  const options = {
    quick: values.quick, isolate: values.isolate, writeDocs: values['write-docs'], list: values.list, help: values.help
  }
  if (values.only !== undefined) options.only = list(values.only, rowNames, 'row')
  if (values.peers !== undefined) options.peers = list(values.peers, [...Object.keys(peers), ...Object.keys(limits)], 'peer')
  if (values.rounds !== undefined) {
    options.rounds = Number(values.rounds)
    if (!Number.isInteger(options.rounds) || options.rounds < 1) throw new Error('--rounds takes a whole number from 1')
  }
  if (options.writeDocs && (options.quick || options.isolate || options.only || options.peers || options.rounds)) {
    throw new Error('--write-docs takes its numbers from a full run: leave --quick, --isolate, --only, --peers and --rounds out')
  }
  return options
}
