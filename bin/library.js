'use strict'

/** The library; loaded when a command needs it, so that help is there where the addon is not. */
function library() {
  return require('../index.js')
}

module.exports = { library }
