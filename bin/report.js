'use strict'

const { PROGRAM } = require('./help.js')
const { visibleJson } = require('./terminal/visible.js')

/** @typedef {import('./terminal/screen.js').Screen} Screen */

/** Fields of an error that a program may want to look at. */
const FACTS = [
  'retryable', 'argument', 'account', 'path', 'offset', 'pid', 'host', 'syscall', 'errno', 'found', 'supported'
]

/** What to do about an error, where its own words are those for programmers. @type {Record<string, string>} */
const HINTS = {
  ERR_CASK_LOCKED: 'A cask that a gateway has open is backed up by that gateway, with cask.backup(); everything else waits for its end.',
  ERR_CASK_KEY: 'The key comes from --key-file FILE, from BAILEYS_CASK_KEY, or from a prompt at a terminal.',
  ERR_CASK_CORRUPT: 'Nothing was changed. verify tells what is damaged, and repair writes what is not to a new folder.'
}

/** Commands that look at damage themselves: what they fail with is damage without which nothing can be looked at. */
const LOOKS_AT_DAMAGE = ['verify', 'repair']

/**
 * @param {string} code
 * @param {string | null} command
 */
function hintFor(code, command) {
  if (code === 'ERR_CASK_CORRUPT' && command !== null && LOOKS_AT_DAMAGE.includes(command)) return 'Nothing was changed. Nothing can be read without that file: put the one of a backup of this cask in its place.'
  return HINTS[code]
}

/** Where the outcome of a command goes: lines for people, or one JSON document. */
class Report {
  /** @type {string[]} */
  #warnings = []
  #isTold = false

  /**
   * @param {object} to
   * @param {Screen} to.out
   * @param {Screen} to.err
   * @param {boolean} to.asJson
   */
  constructor({ out, err, asJson }) {
    this.out = out
    this.err = err
    this.asJson = asJson
    /** @type {string | null} */
    this.command = null
    /** Takes a line of progress away. */
    this.clear = () => {}
  }

  /** @param {string} message */
  warn(message) {
    this.#warnings.push(message)
    this.clear()
    this.err.line({ style: 'yellow', text: 'warning:' }, ' ', message)
  }

  /**
   * @param {number} exitCode
   * @param {import('./command.js').Outcome} outcome
   */
  outcome(exitCode, { result, show }) {
    if (this.asJson) this.#document({ exitCode, result })
    else show(this.out)
  }

  /**
   * @param {number} exitCode
   * @param {any} error
   */
  failure(exitCode, error) {
    this.clear()
    const { code = 'ERR_CASK_INTERNAL', message = String(error) } = error ?? {}
    const hint = hintFor(code, this.command)
    this.err.line({ style: 'red', text: 'baileys-cask:' }, ' ', message)
    if (error?.isUsage) this.err.line(`Try ${[PROGRAM, ...(error.command ? [error.command] : []), '--help'].join(' ')}`)
    else if (hint) this.err.line(hint)
    // A fault of this program, to be reported with the place.
    if (!error?.isUsage && !String(code).startsWith('ERR_CASK_') && error?.stack) for (const line of String(error.stack).split('\n').slice(1)) this.err.line(line)
    if (!this.asJson) return
    const facts = Object.fromEntries(FACTS.flatMap((name) => (error?.[name] === undefined ? [] : [[name, error[name]]])))
    this.#document({ exitCode, error: { code, message, ...facts } })
  }

  /** @param {{ exitCode: number, result?: unknown, error?: unknown }} outcome */
  #document({ exitCode, ...rest }) {
    // One document, whatever fails after it.
    if (this.#isTold) return
    this.#isTold = true
    this.out.text(visibleJson({ command: this.command, ok: exitCode === 0, exitCode, ...rest, warnings: this.#warnings }))
  }
}

module.exports = { Report }
