'use strict'

/**
 * The error for bytes that no encoder of ours wrote.
 * @param {string} reason
 */
function corrupt(reason) {
  return Object.assign(new Error(`A stored value cannot be decoded: ${reason}. Restore it from a backup.`), {
    code: /** @type {const} */ ('ERR_CASK_CORRUPT')
  })
}

module.exports = { corrupt }
