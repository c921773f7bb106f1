'use strict'

const { binding, port, OVERFLOWED, READ_LATER, READ_WAITS, ticket, settled, lastError, takeOverflow } = require('./port.js')
const { CREDS } = require('./codec/families.js')
const { keyAt } = require('./key-counts.js')

/** @typedef {{ family: string | undefined, id: string, bytes: number }} Measured `family` is absent for the creds */

/** Records that are read at once. */
const CHUNK = 64
/** What every key starts with. */
const ANY = Buffer.alloc(0)
/** Length that stands for an absent value. */
const ABSENT = 0xffffffff

/**
 * How many bytes each value of an account takes, without its decoding: records as of this call, creds included, those that are gone
 * when they are reached left out. Reads everything from disk that is not in memory.
 * @param {number} account its handle
 * @returns {AsyncGenerator<Measured, void>}
 */
async function* valueSizes(account) {
  const answered = binding.keys(port, account, 0, ANY, ticket())
  if (answered !== OVERFLOWED) {
    if (answered < 0) throw lastError()
    return
  }
  // They stand in the form in which a read asks for them.
  const keys = takeOverflow()
  for (let at = 0; at < keys.length;) {
    const from = at
    const places = []
    for (; at < keys.length && places.length < CHUNK; at += 2 + keys.readUInt16LE(at)) places.push(at)
    const values = await read(account, keys.subarray(from, at))
    let value = 0
    for (const place of places) {
      const bytes = values.readUInt32LE(value)
      value += 4
      if (bytes === ABSENT) continue
      value += bytes
      const { code, family, id } = keyAt(keys, place + 2, place + 2 + keys.readUInt16LE(place))
      yield { family: code === CREDS ? undefined : family, id, bytes }
    }
  }
}

/**
 * @param {number} account
 * @param {Buffer} request
 */
async function read(account, request) {
  const answered = binding.getFrom(port, account, 0, request, ticket())
  if (answered === READ_LATER || answered === READ_WAITS) binding.ticketAnswer(port, await settled())
  else if (answered !== OVERFLOWED) throw lastError()
  return takeOverflow()
}

module.exports = { valueSizes }
