'use strict'

/**
 * Tells a logger. One that throws must not keep the package from going on.
 * @param {import('../index.js').Logger | undefined} logger
 * @param {'warn' | 'error'} level
 * @param {object} facts
 * @param {string} message
 */
function tell(logger, level, facts, message) {
  try {
    logger?.[level](facts, message)
  } catch {}
}

module.exports = { tell }
