'use strict'

const { MEANINGS } = require('./exit-codes.js')
const { wrapped } = require('./terminal/width.js')

/** @typedef {import('./command.js').Command} Command */

const PROGRAM = 'npx baileys-cask'
/** Columns that help takes at most, and takes where it is no terminal. */
const HELP_WIDTH = 80
const LEAST_WIDTH = 30
/** Column at which descriptions begin, where there is room for that. */
const TEXT_AT = 24
const NARROW_TEXT_AT = 7

/**
 * @param {number | undefined} columns of the terminal
 */
function helpWidth(columns = HELP_WIDTH) {
  return Math.max(Math.min(columns, HELP_WIDTH), LEAST_WIDTH)
}

/**
 * @param {Iterable<Command>} commands
 * @param {number} width
 */
function generalHelp(commands, width) {
  return [
    `Usage: ${PROGRAM} COMMAND [arguments] [options]`,
    '',
    ...wrapped('Moves, looks at, checks and keeps casks: the folders in which baileys-cask keeps the Signal keys of WhatsApp gateways.', width),
    '',
    'Commands:',
    ...entries([...commands].map(({ name, summary }) => [name, summary]), width),
    '',
    'Options:',
    ...entries([
      ['-h, --help', 'Print this help; after a command, its own.'],
      ['-v, --version', 'Print the version.'],
      ['--json', 'Print one JSON document instead of text, for errors too.']
    ], width),
    '',
    'Exit codes:',
    ...entries(MEANINGS.map(([code, meaning]) => [String(code), meaning]), width, NARROW_TEXT_AT)
  ].join('\n')
}

/**
 * @param {Command} command
 * @param {number} width
 */
function commandHelp({ name, summary, positionals, options, notes, examples }, width) {
  const lines = [
    ...wrapped(`Usage: ${PROGRAM} ${[name, ...positionals.map(({ name }) => name), '[options]'].join(' ')}`, width),
    '',
    ...wrapped(`${summary}.`, width),
    '',
    'Arguments:',
    ...entries(positionals.map(({ name, text }) => [name, text]), width),
    '',
    'Options:',
    ...entries(Object.entries(options).map(([flag, { value, short, text }]) => [`${short ? `-${short}, ` : ''}--${flag}${value ? ` ${value}` : ''}`, text]), width)
  ]
  for (const note of notes) lines.push('', ...wrapped(note, width))
  lines.push('', 'Examples:')
  // Not wrapped: they are there to be copied.
  for (const { line, text } of examples) lines.push(...wrapped(`# ${text}`, width - 2).map((part) => `  ${part}`), `  ${line}`)
  return lines.join('\n')
}

/**
 * Names, and what they mean beside them or below them.
 * @param {readonly (readonly string[])[]} pairs
 * @param {number} width
 * @param {number} [textAt]
 */
function entries(pairs, width, textAt = TEXT_AT) {
  const at = width < HELP_WIDTH ? Math.min(textAt, NARROW_TEXT_AT) : textAt
  return pairs.flatMap(([name = '', text = '']) => {
    const head = `  ${name}`
    const body = wrapped(text, width - at)
    const isBeside = head.length + 2 <= at
    return [
      ...(isBeside ? [head.padEnd(at) + body[0]] : [head]),
      ...body.slice(isBeside ? 1 : 0).map((part) => ' '.repeat(at) + part)
    ]
  })
}

module.exports = { PROGRAM, helpWidth, generalHelp, commandHelp }
