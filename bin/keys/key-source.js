'use strict'

const { keyFromFile, keyFromText } = require('./key-text.js')

/** @typedef {Uint8Array | string} Key */
/** @typedef {{ encryptionKey?: Key }} KeyOptions */

/** Where a key comes from when no file is named. */
const VARIABLE = 'BAILEYS_CASK_KEY'
/** How often a passphrase may be typed wrong. */
const TRIES = 3

/**
 * Where the key of a sealed cask comes from: a file, the environment, or whoever sits at the terminal, in this order. Never from an
 * argument, which every user of a machine can read.
 */
class KeySource {
  /**
   * @param {object} from
   * @param {string} [from.file]
   * @param {NodeJS.ProcessEnv} from.env
   * @param {((question: string) => Promise<string>) | undefined} from.ask nothing where nobody can be asked
   * @param {(message: string) => void} from.warn
   */
  constructor({ file, env, ask, warn }) {
    this.file = file
    this.env = env
    this.ask = ask
    this.warn = warn
  }

  /**
   * The key that was handed over, without a question.
   * @returns {Key | undefined}
   */
  given() {
    if (this.file !== undefined) return keyFromFile(this.file, this.warn)
    const text = this.env[VARIABLE]
    return text ? keyFromText(text) : undefined
  }

  /**
   * Does something to a cask with its key; asks for a passphrase only where the cask turns out to be sealed.
   * @template T
   * @param {string} path
   * @param {(options: KeyOptions) => Promise<T>} attempt
   * @returns {Promise<T>}
   */
  async unlock(path, attempt) {
    const given = this.given()
    if (given !== undefined) return attempt({ encryptionKey: given })
    for (let tries = 0; ; tries++) {
      try {
        return await attempt(tries === 0 ? {} : { encryptionKey: await this.#typed(path, tries) })
      } catch (error) {
        if (/** @type {any} */ (error).code !== 'ERR_CASK_KEY' || !this.ask || tries === TRIES) throw error
      }
    }
  }

  /**
   * @param {string} path
   * @param {number} tries
   */
  async #typed(path, tries) {
    const again = tries > 1 ? 'That is not it. ' : ''
    return keyFromText(await /** @type {NonNullable<KeySource['ask']>} */ (this.ask)(`${again}Passphrase of ${path}: `))
  }
}

module.exports = { KeySource, VARIABLE }
