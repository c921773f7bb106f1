'use strict'

/**
 * Counts what has begun and not ended, for those who wait until nothing is left. It keeps no list: a set to which one entry after the
 * other is added and removed keeps all of them alive until the next full collection of garbage.
 */
class Running {
  constructor() {
    this.count = 0
    /** @type {(() => void)[]} */
    this.waiting = []
  }

  begin() {
    this.count++
  }

  end() {
    if (--this.count > 0) return
    const { waiting } = this
    this.waiting = []
    for (const resolve of waiting) resolve()
  }

  /** Waits until everything has ended, also what begins meanwhile. */
  async ended() {
    while (this.count > 0) await new Promise((resolve) => this.waiting.push(() => resolve(undefined)))
  }
}

module.exports = { Running }
