'use strict'

const { CaskError } = require('../errors.js')

/**
 * The error for bytes that no encoder of ours wrote.
 * @param {string} reason
 */
function corrupt(reason) {
  return new CaskError('ERR_CASK_CORRUPT', `a stored value cannot be decoded: ${reason}; restore a backup of the folder`)
}

module.exports = { corrupt }
