'use strict'

/** Number of the field, and the wire types that a PreKeyWhisperMessage is made of. */
const PRE_KEY_ID = 1
const VARINT = 0
const BYTES = 2
/** No varint of such a message has more bits. */
const MAX_BITS = 35

/**
 * The id of our pre-key that a message which begins a session was made with: a version byte, then protobuf.
 * @param {unknown} message
 * @returns {number | undefined} nothing where it names none, or is something else
 */
function preKeyIdOf(message) {
  if (!(message instanceof Uint8Array)) return undefined
  let at = 1
  const varint = () => {
    let value = 0
    for (let bits = 0; bits < MAX_BITS && at < message.length; bits += 7) {
      const byte = /** @type {number} */ (message[at++])
      value += (byte & 0x7f) * 2 ** bits
      if (byte < 0x80) return value
    }
    at = Infinity
    return 0
  }
  while (at < message.length) {
    const tag = varint()
    const wireType = tag & 7
    if (wireType !== VARINT && wireType !== BYTES) return undefined
    const value = varint()
    if (at === Infinity) return undefined
    if (wireType === BYTES) at += value
    else if (tag >> 3 === PRE_KEY_ID) return value
  }
  return undefined
}

module.exports = { preKeyIdOf }
