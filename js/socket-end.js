'use strict'

const { CaskError } = require('./errors.js')

/**
 * Tells those who wait for a server that their socket has ended. It is as much of an `AbortSignal` as a transaction asks for: a real one
 * warns of a leak where more than ten listen, and a busy socket has more transactions than that at once.
 */
class SocketEnd {
  aborted = false
  /** @type {Error | undefined} */
  reason
  /** @type {Set<() => void>} */
  #listeners = new Set()

  /**
   * @param {string} _
   * @param {() => void} listener
   */
  addEventListener(_, listener) {
    this.#listeners.add(listener)
  }

  /**
   * @param {string} _
   * @param {() => void} listener
   */
  removeEventListener(_, listener) {
    this.#listeners.delete(listener)
  }

  /** The socket has ended. */
  tell() {
    if (this.aborted) return
    this.aborted = true
    this.reason = new Error('the socket has ended')
    for (const listener of this.#listeners) listener()
    this.#listeners.clear()
  }

  /**
   * What a server answers, for as long as there is a socket: afterwards it comes late or not at all.
   * @template T
   * @param {() => Promise<T>} ask
   * @returns {Promise<T>}
   */
  before(ask) {
    return new Promise((resolve, reject) => {
      const stop = () => reject(new CaskError('ERR_CASK_ABORTED', 'the socket has ended', { cause: this.reason }))
      if (this.aborted) return stop()
      const heard = () => this.#listeners.delete(stop)
      this.#listeners.add(stop)
      ask().then((answer) => (heard(), resolve(answer)), (error) => (heard(), reject(error)))
    })
  }
}

module.exports = { SocketEnd }
