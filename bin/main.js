'use strict'

const { readdirSync } = require('node:fs')
const { basename, dirname, join } = require('node:path')
const { findCommand, isAsked, readArguments } = require('./arguments.js')
const { COMMANDS } = require('./commands/index.js')
const { EXIT, exitCodeOf, exitCodeOfSignal } = require('./exit-codes.js')
const { PROGRAM, commandHelp, generalHelp, helpWidth } = require('./help.js')
const { Interrupts } = require('./interrupts.js')
const { KeySource, NEW_VARIABLE, VARIABLE } = require('./keys/key-source.js')
const { askHidden } = require('./keys/prompt.js')
const { Report } = require('./report.js')
const { Progress } = require('./terminal/progress.js')
const { Screen } = require('./terminal/screen.js')
const { visible } = require('./terminal/visible.js')
const { UsageError } = require('./usage-error.js')

/** @typedef {import('./command.js').Command} Command */

/**
 * Runs the command line; the process ends with its exit code.
 * @param {readonly string[]} argv
 */
function main(argv) {
  // As many programs have it.
  new CommandLine(argv[0] === 'help' ? [...argv.slice(1), '--help'] : argv).run().then((exitCode) => {
    process.exitCode ||= exitCode
  })
}

/** One run of the command line. */
class CommandLine {
  #progress = /** @type {Progress | undefined} */ (undefined)
  /** Beginnings of the names of what an end at any moment may leave behind. @type {string[]} */
  #leaves = []

  /** @param {readonly string[]} argv */
  constructor(argv) {
    this.argv = argv
    const { stdout, stderr, env } = process
    this.err = new Screen(stderr, env)
    this.report = new Report({ out: new Screen(stdout, env), err: this.err, asJson: isAsked(argv, 'json') })
    this.report.clear = () => this.#progress?.clear()
    this.interrupts = new Interrupts({ end: (signal) => this.#end(signal) })
    stdout.on('error', (error) => this.#cannotPrint(error))
    // Nobody is left to tell.
    stderr.on('error', () => {})
  }

  /** @returns {Promise<number>} exit code */
  async run() {
    let exitCode
    try {
      const outcome = await this.#outcome()
      this.#progress?.end()
      // What was interrupted too late to be ended is whole, and tells so; whoever has interrupted it wants the next command to stay away.
      exitCode = this.interrupts.first ? exitCodeOfSignal(this.interrupts.first) : outcome.exitCode ?? EXIT.FINE
      this.report.outcome(exitCode, outcome)
    } catch (error) {
      this.#progress?.end()
      const wasAborted = this.interrupts.first && /** @type {any} */ (error).code === 'ERR_CASK_ABORTED'
      exitCode = wasAborted ? exitCodeOfSignal(/** @type {any} */ (this.interrupts.first)) : exitCodeOf(error)
      this.report.failure(exitCode, error)
    }
    return exitCode
  }

  /** @returns {Promise<import('./command.js').Outcome>} */
  async #outcome() {
    const { command, rest } = findCommand(this.argv, COMMANDS)
    if (!command) return this.#general(rest)
    this.report.command = command.name
    const { positionals, options } = readArguments(command, rest)
    if (options.help) return printed({ help: commandHelp(command, helpWidth()) }, commandHelp(command, helpWidth(this.report.out.width)))
    this.interrupts.isAbortable = command.isAbortable ?? false
    const warn = (/** @type {string} */ message) => this.report.warn(message)
    const ask = process.stdin.isTTY && this.err.isTerminal ? (/** @type {string} */ question) => this.#ask(question) : undefined
    return command.run({
      positionals,
      options,
      keys: new KeySource({ file: options['key-file'], text: process.env[VARIABLE], ask, warn }),
      newKeys: new KeySource({ file: options['new-key-file'], text: process.env[NEW_VARIABLE], ask, warn }),
      signal: this.interrupts.signal,
      warn,
      progress: (label) => this.#begin(label),
      leaves: (path) => this.#leaves.push(path)
    })
  }

  /**
   * What is asked for without a command.
   * @param {readonly string[]} args
   * @returns {import('./command.js').Outcome}
   */
  #general(args) {
    const { options } = readArguments(/** @type {Command} */ ({ name: '', positionals: /** @type {readonly any[]} */ ([]), options: GENERAL }), [...args])
    if (options.version) {
      const { version } = require('../package.json')
      return printed({ version }, version)
    }
    const width = helpWidth(this.report.out.width)
    if (options.help) return printed({ help: generalHelp(COMMANDS.values(), helpWidth()) }, generalHelp(COMMANDS.values(), width))
    throw new UsageError(`no command is given; there are ${[...COMMANDS.keys()].join(', ')}`)
  }

  /** @param {string} label */
  #begin(label) {
    this.#progress?.end()
    this.#progress = new Progress(this.err.canRedraw ? this.err.stream : undefined, visible(label))
    return this.#progress
  }

  /** @param {string} question */
  async #ask(question) {
    this.#progress?.end()
    // Nothing is under way while a question stands, so nothing would end by itself.
    const { isAbortable } = this.interrupts
    this.interrupts.isAbortable = false
    const onInterrupt = () => this.#end('SIGINT')
    try {
      return await askHidden({ stdin: process.stdin, stderr: process.stderr, onInterrupt }, question)
    } finally {
      this.interrupts.isAbortable = isAbortable
    }
  }

  /**
   * Ends the process where it stands.
   * @param {import('./interrupts.js').Signal} signal
   * @returns {void}
   */
  #end(signal) {
    this.#progress?.end()
    const left = this.#leaves.flatMap(startingWith)
    const rest = left.map((path) => `; ${path} is not finished, and is not taken for whole: remove it`).join('')
    const exitCode = exitCodeOfSignal(signal)
    this.report.failure(exitCode, { code: 'ERR_CASK_ABORTED', message: `interrupted by ${signal}${rest}` })
    // What goes to a pipe may be on its way.
    process.stdout.write('', () => process.exit(exitCode))
  }

  /** @param {any} error */
  #cannotPrint(error) {
    // Whoever read it has seen enough, such as head.
    if (error.code === 'EPIPE') return
    this.err.line({ style: 'red', text: 'baileys-cask:' }, ' ', `the output cannot be written: ${error.code ?? error.message}`)
    process.exitCode = EXIT.FAILED
  }
}

/**
 * What is there of a name that goes on somehow.
 * @param {string} beginning
 */
function startingWith(beginning) {
  const folder = dirname(beginning)
  try {
    return readdirSync(folder).filter((name) => name.startsWith(basename(beginning))).map((name) => join(folder, name))
  } catch {
    return []
  }
}

/** @type {Record<string, import('./command.js').Option>} */
const GENERAL = {
  help: { short: 'h', text: '' },
  version: { short: 'v', text: '' },
  json: { text: '' }
}

/**
 * @param {unknown} result
 * @param {string} text
 * @returns {import('./command.js').Outcome}
 */
function printed(result, text) {
  return { result, show: (screen) => screen.text(text) }
}

module.exports = { main, PROGRAM }
