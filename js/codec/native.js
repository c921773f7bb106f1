'use strict'

/**
 * Node's encoding-specific buffer methods. `toString('latin1')` and `write(s, 'latin1')` end in these after
 * parsing their arguments, which costs more than the copy for short strings.
 * @typedef {object} NativeBuffer
 * @property {(start: number, end: number) => string} latin1Slice
 * @property {(start: number, end: number) => string} utf8Slice
 * @property {(text: string, offset: number, length: number) => number} latin1Write
 * @property {(text: string, offset: number, length: number) => number} utf8Write
 */

/**
 * @param {Buffer} buffer
 * @returns {Buffer & NativeBuffer}
 */
function native(buffer) {
  return /** @type {Buffer & NativeBuffer} */ (buffer)
}

module.exports = { native }
