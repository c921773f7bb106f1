'use strict'

const { channel } = require('node:diagnostics_channel')

/** What can be subscribed to with `node:diagnostics_channel`; docs/transactions.md has the payloads. */
const channels = {
  /** A holder or waiter has become old. */
  stall: channel('baileys-cask:stall'),
  /** One that was reported as old has ended. */
  stallEnd: channel('baileys-cask:stall-end'),
  /** An independent transaction has joined the one around it. */
  joined: channel('baileys-cask:joined'),
  /** A transaction was doomed. */
  doomed: channel('baileys-cask:doomed')
}

/**
 * Publishes a message that is made only where somebody listens.
 * @param {import('node:diagnostics_channel').Channel} to
 * @param {() => object} makeMessage
 */
function publish(to, makeMessage) {
  if (to.hasSubscribers) to.publish(makeMessage())
}

module.exports = { channels, publish }
