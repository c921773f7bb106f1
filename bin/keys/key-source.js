'use strict'

const { CaskError } = require('../../js/errors.js')
const { UsageError } = require('../usage-error.js')
const { keyFromFile, keyFromText } = require('./key-text.js')

/** @typedef {Uint8Array | string} Key */
/** @typedef {{ encryptionKey?: Key }} KeyOptions */

/** Variables of the environment that a key comes from when no file is named: the one that a cask has, and the next one. */
const VARIABLE = 'BAILEYS_CASK_KEY'
const NEW_VARIABLE = 'BAILEYS_CASK_NEW_KEY'
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
   * @param {string} [from.text] what the environment has
   * @param {((question: string) => Promise<string>) | undefined} from.ask nothing where nobody can be asked
   * @param {(message: string) => void} from.warn
   */
  constructor({ file, text, ask, warn }) {
    this.file = file
    this.text = text
    this.ask = ask
    this.warn = warn
  }

  /**
   * The key that was handed over, without a question.
   * @returns {Key | undefined}
   */
  given() {
    if (this.file !== undefined) return keyFromFile(this.file, this.warn)
    return this.text ? keyFromText(this.text) : undefined
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
      const options = tries === 0 ? {} : { encryptionKey: await this.#typed(path, tries) }
      try {
        return await attempt(options)
      } catch (error) {
        if (/** @type {any} */ (error).code !== 'ERR_CASK_KEY' || !this.ask || tries === TRIES) throw error
      }
    }
  }

  /**
   * A key that is to be. One that is typed is asked for twice, since nobody sees what it is.
   * @param {string} path
   * @returns {Promise<Key>}
   */
  async chosen(path) {
    const given = this.given()
    if (given !== undefined) return given
    if (!this.ask) throw new CaskError('ERR_CASK_KEY', 'there is no new key: none is given, and nobody can be asked for one', { path })
    const text = await this.ask(`New passphrase of ${path}: `)
    if (await this.ask('The same again: ') !== text) throw new UsageError('the two passphrases are not the same; nothing was done')
    return keyFromText(text)
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

module.exports = { KeySource, VARIABLE, NEW_VARIABLE }
