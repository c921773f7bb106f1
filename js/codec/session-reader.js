'use strict'

const { Reader } = require('./reader.js')

/** Reads the fields of a session, and its texts from where they stand apart from them, each behind the one before. */
class SessionReader {
  /** @param {Reader} reader over a whole value, after its tag */
  constructor(reader) {
    const { buffer, end } = reader
    const length = buffer.readUInt32LE(reader.take(4))
    const fields = reader.take(length)
    const texts = reader.take(reader.left())
    this.fields = new Reader(buffer, fields, texts)
    this.texts = new Reader(buffer, texts, end)
  }

  u8() {
    return this.fields.u8()
  }

  int() {
    return this.fields.int()
  }

  text() {
    return this.texts.ascii(this.fields.varint())
  }

  /** @returns {string | undefined} `undefined` where there is none, or no further one */
  optionalText() {
    const length = this.fields.varint()
    return length === 0 ? undefined : this.texts.ascii(length - 1)
  }

  /** Checks that all of the fields and all of the texts were read. */
  finish() {
    this.fields.finish()
    this.texts.finish()
  }
}

module.exports = { SessionReader }
