'use strict'

const { closeSync, fstatSync, openSync, readSync } = require('node:fs')
const { isUtf8 } = require('node:buffer')
const { UsageError } = require('../usage-error.js')

/** @typedef {import('./key-source.js').Key} Key */

const KEY_BYTES = 32
/** A longer file is not what was meant. */
const MAX_BYTES = 4096
const IN_HEX = /^hex:([0-9a-f]{64})$/i
const OF_OTHERS = 0o077

/**
 * The key that a text stands for: `hex:` and 64 digits are the 32 bytes of a key, anything else is a passphrase.
 * @param {string} text
 * @returns {Key}
 */
function keyFromText(text) {
  const hex = IN_HEX.exec(text)?.[1]
  return hex === undefined ? text : Buffer.from(hex, 'hex')
}

/**
 * The key in a file: 32 bytes that are no text are the key itself; of a text, a line end at its end is left out.
 * @param {string} path
 * @param {(message: string) => void} warn
 * @returns {Key}
 */
function keyFromFile(path, warn) {
  const { bytes, mode } = readShort(path)
  if (process.platform !== 'win32' && (mode & OF_OTHERS) !== 0) warn(`key file ${path} can be read by other users; chmod 600 it`)
  if (bytes.length > MAX_BYTES) throw new UsageError(`key file ${path} is longer than ${MAX_BYTES} bytes, which is no passphrase and no key`)
  if (bytes.length === KEY_BYTES && !isText(bytes)) return bytes
  if (!isUtf8(bytes)) throw new UsageError(`key file ${path} is neither text nor a key of ${KEY_BYTES} bytes`)
  const text = bytes.toString('utf8').replace(/\r?\n$/, '')
  if (text === '') throw new UsageError(`key file ${path} is empty`)
  if (/[\r\n]/.test(text)) throw new UsageError(`key file ${path} has more than one line`)
  return keyFromText(text)
}

/** @param {Buffer} bytes */
function isText(bytes) {
  return isUtf8(bytes) && !/[\p{Cc}\p{Cn}]/u.test(bytes.toString('utf8').trimEnd())
}

/**
 * The beginning of a file, which may be a pipe.
 * @param {string} path
 */
function readShort(path) {
  const buffer = Buffer.alloc(MAX_BYTES + 1)
  let fd
  try {
    fd = openSync(path, 'r')
    const { mode } = fstatSync(fd)
    let length = 0
    for (let read = -1; read !== 0 && length < buffer.length; length += read) read = readSync(fd, buffer, length, buffer.length - length, null)
    return { bytes: buffer.subarray(0, length), mode }
  } catch (error) {
    throw new UsageError(`key file ${path} cannot be read: ${/** @type {any} */ (error).code}`)
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
}

module.exports = { keyFromText, keyFromFile }
