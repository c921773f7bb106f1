'use strict'

/**
 * An option of a command.
 * @typedef {object} Option
 * @property {string} text what it does, for the help
 * @property {string} [value] what its value is called; a flag without one
 * @property {string} [short] its letter
 * @property {boolean} [isList] whether it may be given more than once
 * @property {readonly string[]} [choices] what its value may be
 */

/**
 * What a command works with.
 * @typedef {object} Context
 * @property {string[]} positionals as many as the command has
 * @property {Record<string, any>} options those that were given
 * @property {import('./keys/key-source.js').KeySource} keys
 * @property {import('./keys/key-source.js').KeySource} newKeys
 * @property {AbortSignal} signal aborted where the command is to end early
 * @property {(label: string) => import('./terminal/progress.js').Progress} progress
 * @property {(message: string) => void} warn
 * @property {(path: string) => void} leaves tells with what the names begin of what an end at any moment may leave behind, and nothing takes for whole
 */

/**
 * What a command gives.
 * @typedef {object} Outcome
 * @property {unknown} result as JSON
 * @property {(screen: import('./terminal/screen.js').Screen) => void} show prints it for people
 * @property {number} [exitCode] 0 where it is absent
 */

/**
 * @typedef {object} Command
 * @property {string} name one word, or two
 * @property {string} summary
 * @property {readonly { name: string, text: string }[]} positionals
 * @property {Record<string, Option>} options
 * @property {readonly string[]} notes paragraphs
 * @property {readonly { line: string, text: string }[]} examples
 * @property {boolean} [isAbortable] whether it ends by itself, soon, when its signal is aborted; others are ended where they stand,
 * which is only for those that may be
 * @property {(context: Context) => Promise<Outcome>} run
 */

/** Options of all commands. @type {Record<string, Option>} */
const COMMON = Object.freeze({
  json: { text: 'Print one JSON document instead of text, for errors too.' },
  help: { short: 'h', text: 'Print this help.' }
})

/** Options of all that open a cask. @type {Record<string, Option>} */
const KEYED = Object.freeze({
  'key-file': { value: 'FILE', text: 'File with the key of a sealed cask: a passphrase, or 32 bytes. Without it BAILEYS_CASK_KEY counts, then a prompt.' }
})

/** @type {Option} */
const ACCOUNT = Object.freeze({ value: 'NAME', text: 'Account of the cask (default: default).' })

module.exports = { COMMON, KEYED, ACCOUNT }
