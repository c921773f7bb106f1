'use strict'

const { corrupt } = require('./corrupt.js')
const { Reader } = require('./reader.js')

/** A text or a number of a session; `undefined` where a text that need not be there is not. @typedef {string | number | undefined} Field */

/**
 * Reads an encoded session into its fields, in the order in which they were written. Numbers and lengths stand in one column, texts in
 * another one, each behind the one before.
 */
class FieldReader {
  /** @param {Reader} reader over a whole value, after its tag */
  constructor(reader) {
    const { buffer, end } = reader
    const length = buffer.readUInt32LE(reader.take(4))
    const numbers = reader.take(length)
    const texts = reader.take(reader.left())
    this.numbers = new Reader(buffer, numbers, texts)
    this.texts = new Reader(buffer, texts, end)
    /** @type {Field[]} */
    this.fields = []
  }

  int() {
    this.fields.push(this.numbers.int())
  }

  text() {
    this.fields.push(this.texts.ascii(this.numbers.varint()))
  }

  /** @returns {boolean} whether it is there */
  optionalText() {
    const length = this.numbers.varint()
    this.fields.push(length === 0 ? undefined : this.texts.ascii(length - 1))
    return length > 0
  }

  session() {
    this.text()
    while (this.optionalText()) this.entry()
    this.numbers.finish()
    this.texts.finish()
    return this.fields
  }

  entry() {
    // Registration id, ephemeral key pair, last remote ephemeral key, previous counter, root key.
    this.int()
    this.text()
    this.text()
    this.text()
    this.int()
    this.text()
    // Base key, its type, closed, used, created, remote identity key.
    this.text()
    this.int()
    this.int()
    this.int()
    this.int()
    this.text()
    while (this.optionalText()) this.chain()
    this.pending()
  }

  chain() {
    // Type, counter, key; skipped message keys by number.
    this.int()
    this.int()
    this.optionalText()
    while (this.optionalText()) this.text()
  }

  pending() {
    const form = this.numbers.u8()
    this.fields.push(form)
    if (form === 0) return
    if (form > 2) throw corrupt('a pending pre-key has an unknown form')
    this.int()
    this.text()
    if (form === 2) this.int()
  }
}

/**
 * @param {Reader} reader over a whole value, after its tag
 * @returns {Field[]}
 */
function readFields(reader) {
  return new FieldReader(reader).session()
}

module.exports = { readFields }
