'use strict'

const { NO_TRANSACTION, current, shared } = require('./context.js')

/** @typedef {import('./context.js').Context} Context */

/**
 * Lets a socket that is made inside of a transaction leave it, while its maker stays inside.
 *
 * `makeWASocket` makes everything that later calls event handlers (the WebSocket, a tick, timers) before it returns, in the context of its
 * caller, and keeps that for ever. It offers no hook at its ends. But on the way it reads, in 6.7 and 7.0 alike:
 *
 * - `config.options.headers`, the last thing before the WebSocket is made; nothing is begun before that. `enter` gives the context a level
 *   of its own there, through which one sees what is around it;
 * - `config.makeSignalRepository`, and after everything is begun `config.auth.creds` once more, for `sock.user`. `leave` puts the caller back
 *   and takes from that level what is around it: from now on all that was begun in it is outside.
 *
 * All of this is one synchronous call, so nobody else gets the level. Where the second half never comes (the call throws, another version of
 * Baileys), the level stays transparent: the socket is inside as without all this, and its maker's context has not changed.
 */
class WayOut {
  /** @type {Context | undefined} */
  #level
  #isHalfWay = false

  /**
   * The config to hand over: as it is, and to whoever copies it inside of a transaction with these two reads noticed.
   * @template {Record<string, any>} C
   * @param {C} config
   * @returns {C}
   */
  through(config) {
    // Of what was frozen since, nothing else than what is there may be shown.
    const view = () => (current() === undefined || !Object.isExtensible(config) ? config : this.#noticed(config))
    return new Proxy(config, {
      get: (_, name) => Reflect.get(view(), name),
      has: (_, name) => Reflect.has(view(), name),
      ownKeys: () => Reflect.ownKeys(view()),
      getOwnPropertyDescriptor: (_, name) => Reflect.getOwnPropertyDescriptor(view(), name)
    })
  }

  /** @param {any} config */
  #noticed(config) {
    return {
      ...config,
      auth: noticing(config.auth, 'creds', () => this.#leave()),
      options: noticing(config.options ?? {}, 'headers', () => this.#enter())
    }
  }

  #enter() {
    let outer = current()
    this.#isHalfWay = false
    if (outer === undefined) return
    this.#level = { account: '', transaction: NO_TRANSACTION, outer }
    shared.storage.enterWith(this.#level)
  }

  /**
   * The repository is asked for.
   * @returns {() => boolean} whether the socket is outside; to be asked when it has been made
   */
  halfWay() {
    if (current() === undefined) return () => true
    const level = this.#level
    this.#isHalfWay = level !== undefined && shared.storage.getStore() === level
    // A call that has thrown does not come back to this; what is begun in the level afterwards is its maker's.
    queueMicrotask(() => {
      if (this.#level === level) this.#isHalfWay = false
    })
    return () => level !== undefined && level.outer === undefined
  }

  #leave() {
    const level = this.#level
    if (!this.#isHalfWay || level === undefined || shared.storage.getStore() !== level) return
    shared.storage.enterWith(level.outer)
    level.outer = undefined
    this.#level = undefined
    this.#isHalfWay = false
  }
}

/**
 * A copy of an object that tells when one of its fields is read.
 * @param {any} object
 * @param {string} name
 * @param {() => void} notice
 */
function noticing(object, name, notice) {
  // Without that field: that of a frozen object could not be defined again.
  const { [name]: _, ...rest } = Object.getOwnPropertyDescriptors(object)
  const copy = Object.create(Object.getPrototypeOf(object), rest)
  return Object.defineProperty(copy, name, {
    configurable: true,
    enumerable: Object.hasOwn(object, name),
    get() {
      notice()
      return object[name]
    },
    set(value) {
      object[name] = value
    }
  })
}

module.exports = { WayOut }
