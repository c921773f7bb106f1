'use strict'

const { binding, port, FAILED, LATER, ticket, listen, lastError } = require('./port.js')
const { fromCore } = require('./errors.js')
const { tell } = require('./tell.js')

/**
 * Lets the logger of a handle hear, once, of damage that compaction meets in the background.
 * @param {number} handle
 * @param {import('../index.js').Logger | undefined} logger
 * @returns {() => void} ends that
 */
function reportDamage(handle, logger) {
  if (logger === undefined) return () => {}
  const answered = binding.watchDamage(port, handle, ticket())
  if (answered === FAILED) throw lastError()
  // In memory there is nothing that could be damaged.
  if (answered !== LATER) return () => {}
  return listen((failure) => {
    if (failure === undefined) return
    const { code, message, path, offset } = /** @type {any} */ (fromCore(failure))
    tell(logger, 'error', { code, path, offset }, `the log is not compacted any more: ${message}`)
  })
}

module.exports = { reportDamage }
