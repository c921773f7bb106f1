'use strict'

const { dictionary, roomyDictionary } = require('./dictionary.js')
const { setOwn } = require('./set-own.js')

/**
 * The session of these fields, in the order in which they were written: new objects all the way down.
 *
 * One function, and none for each part: in a process that sends a message now and then V8 has not compiled much of this, and each call
 * costs as much as what it does.
 * @param {any[]} fields
 */
function buildSession(fields) {
  const version = fields[0]
  const sessions = dictionary()
  let at = 1
  for (let id = fields[at++]; id !== undefined; id = fields[at++]) {
    const registrationId = fields[at]
    const currentRatchet = {
      ephemeralKeyPair: { pubKey: fields[at + 1], privKey: fields[at + 2] },
      lastRemoteEphemeralKey: fields[at + 3],
      previousCounter: fields[at + 4],
      rootKey: fields[at + 5]
    }
    const indexInfo = {
      baseKey: fields[at + 6],
      baseKeyType: fields[at + 7],
      closed: fields[at + 8],
      used: fields[at + 9],
      created: fields[at + 10],
      remoteIdentityKey: fields[at + 11]
    }
    at += 12
    // A conversation goes on to have a dozen of them.
    /** @type {Record<string, unknown>} */
    const chains = roomyDictionary()
    for (let chainId = fields[at++]; chainId !== undefined; chainId = fields[at++]) {
      const chainType = fields[at]
      const counter = fields[at + 1]
      const key = fields[at + 2]
      at += 3
      /** @type {Record<string, unknown>} */
      const messageKeys = {}
      for (let number = fields[at++]; number !== undefined; number = fields[at++]) setOwn(messageKeys, number, fields[at++])
      const chain = { chainKey: key === undefined ? { counter } : { counter, key }, chainType, messageKeys }
      if (chainId === '__proto__') setOwn(chains, chainId, chain)
      else chains[chainId] = chain
    }
    const pending = fields[at++]
    /** @type {any} */
    let entry
    if (pending === 0) {
      entry = { registrationId, currentRatchet, indexInfo, _chains: chains }
    } else {
      const signedKeyId = fields[at++]
      const baseKey = fields[at++]
      const pendingPreKey = pending === 1 ? { signedKeyId, baseKey } : { signedKeyId, baseKey, preKeyId: fields[at++] }
      entry = { registrationId, currentRatchet, indexInfo, _chains: chains, pendingPreKey }
    }
    setOwn(sessions, id, entry)
  }
  return { _sessions: sessions, version }
}

module.exports = { buildSession }
