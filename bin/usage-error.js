'use strict'

/** A command line that cannot be understood. */
class UsageError extends Error {
  code = 'ERR_CASK_INVALID_ARGUMENT'
  isUsage = true

  /**
   * @param {string} message
   * @param {string} [command] whose help has more
   */
  constructor(message, command) {
    super(message)
    this.command = command
  }
}

module.exports = { UsageError }
