'use strict'

const { parseArgs } = require('node:util')
const { suggestion } = require('./nearest.js')
const { UsageError } = require('./usage-error.js')

/** @typedef {import('./command.js').Command} Command */
/** @typedef {{ positionals: string[], options: Record<string, any> }} Arguments */

/**
 * Finds the command that a line names.
 * @param {readonly string[]} argv
 * @param {ReadonlyMap<string, Command>} commands by name, of one word or two
 * @returns {{ command: Command | undefined, rest: string[] }} no command where none is named
 */
function findCommand(argv, commands) {
  const at = argv.findIndex((word) => !word.startsWith('-'))
  const word = argv[at]
  if (word === undefined) return { command: undefined, rest: [...argv] }
  const command = commands.get(word)
  if (command) return { command, rest: argv.toSpliced(at, 1) }
  const group = [...commands.keys()].filter((name) => name.startsWith(`${word} `)).map((name) => name.slice(word.length + 1))
  if (group.length === 0) throw new UsageError(`unknown command ${word}${suggestion(word, new Set([...commands.keys()].map(firstWord)))}`)
  const nextAt = argv.findIndex((next, i) => i > at && !next.startsWith('-'))
  const next = argv[nextAt]
  // The help of all of them.
  if (next === undefined && isAsked(argv, 'help')) return { command: undefined, rest: [...argv] }
  if (next === undefined) throw new UsageError(`${word} needs one of: ${group.join(', ')}`)
  const found = commands.get(`${word} ${next}`)
  if (!found) throw new UsageError(`unknown command ${word} ${next}${suggestion(next, group)}`)
  return { command: found, rest: argv.filter((_, i) => i !== at && i !== nextAt) }
}

/** @param {string} name */
const firstWord = (name) => /** @type {string} */ (name.split(' ')[0])

/**
 * Whether an option is on a line that cannot be understood otherwise.
 * @param {readonly string[]} argv
 * @param {string} name
 */
function isAsked(argv, name) {
  const end = argv.indexOf('--')
  return argv.slice(0, end < 0 ? undefined : end).some((word) => word === `--${name}` || (name === 'help' && word === '-h'))
}

/**
 * The arguments of a command.
 * @param {Command} command
 * @param {string[]} args
 * @returns {Arguments}
 */
function readArguments(command, args) {
  const refuse = (/** @type {string} */ message) => new UsageError(message, command.name)
  const known = command.options
  /** @type {NonNullable<import('node:util').ParseArgsConfig['options']>} */
  const options = {}
  for (const [name, { value, short }] of Object.entries(known)) options[name] = { type: value === undefined ? 'boolean' : 'string', ...(short ? { short } : {}) }
  const { tokens } = parseArgs({ args, options, strict: false, allowPositionals: true, tokens: true })
  /** @type {Arguments} */
  const read = { positionals: [], options: {} }
  for (const token of tokens) {
    if (token.kind === 'positional') read.positionals.push(token.value)
    if (token.kind !== 'option') continue
    const { name, rawName, value, inlineValue } = token
    const option = Object.hasOwn(known, name) ? known[name] : undefined
    if (!option) throw refuse(`unknown option ${rawName}${suggestion(rawName, Object.keys(known).map((one) => `--${one}`))}`)
    if (option.value === undefined) {
      if (value !== undefined) throw refuse(`option ${rawName} takes no value`)
      read.options[name] = true
      continue
    }
    if (value === undefined || value === '') throw refuse(`option ${rawName} needs a value: ${rawName} ${option.value}`)
    if (!inlineValue && value.startsWith('-')) throw refuse(`option ${rawName} needs a value; one that begins with - is given as ${rawName}=${value}`)
    if (option.choices && !option.choices.includes(value)) {
      throw refuse(`option ${rawName} is one of ${option.choices.join(', ')}, and not ${value}${suggestion(value, option.choices)}`)
    }
    if (option.isList) (read.options[name] ??= []).push(value)
    else if (name in read.options) throw refuse(`option ${rawName} is given twice`)
    else read.options[name] = value
  }
  if (!read.options.help) checkPositionals(command, read.positionals)
  return read
}

/**
 * @param {Command} command
 * @param {string[]} given
 */
function checkPositionals(command, given) {
  const wanted = command.positionals
  const missing = wanted[given.length]
  if (missing) throw new UsageError(`${command.name} needs ${missing.name}: ${missing.text}`, command.name)
  const extra = given[wanted.length]
  if (extra !== undefined) throw new UsageError(`${command.name} does not take so many arguments: ${extra}`, command.name)
  const bad = given.findIndex((value) => value === '' || value.includes('\u0000'))
  if (bad >= 0) throw new UsageError(`${wanted[bad]?.name} is empty`, command.name)
}

module.exports = { findCommand, readArguments, isAsked }
