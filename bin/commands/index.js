'use strict'

/** @typedef {import('../command.js').Command} Command */

/** Every command, in the order of the help. @type {readonly Command[]} */
const ALL = [
  require('./import.js').command,
  require('./export.js').command,
  require('./inspect.js').command,
  require('./backup.js').command,
  require('./verify.js').command,
  require('./repair.js').command,
  require('./compact.js').command,
  require('./key-set.js').command,
  require('./key-change.js').command,
  require('./key-remove.js').command
]

/** @type {ReadonlyMap<string, Command>} */
const COMMANDS = new Map(ALL.map((command) => [command.name, command]))

module.exports = { COMMANDS }
