'use strict'

const { preKeyIdOf } = require('./pre-key-id.js')

/** @typedef {import('./repository-keys.js').Prepare} Prepare */

/** A Signal address of 7.0: user, domain where it is not WhatsApp's own, device. */
const ADDRESS = /^([^_.]+)(?:_(\d+))?\.(\d+)$/
const LID_DOMAINS = ['1', '129']
const HOSTED_DOMAIN = '128'

/**
 * What a method of the repository that touches a ratchet locks: a label where it opens no transaction itself, and the ratchets.
 * @typedef {object} Ratchets
 * @property {(call: any, names: Names) => string} label
 * @property {(call: any, names: Names, ...rest: Parameters<Prepare>) => unknown} prepare claims the ratchets, then runs the work
 */

/** @type {Ratchets} */
const SESSION = {
  label: ({ jid }, names) => names.address(jid),
  prepare: ({ jid, type, ciphertext }, names, claim, work) => {
    const address = attempt(() => names.address(jid))
    if (!isName(address)) return work()
    const preKey = type === 'pkmsg' ? preKeyIdOf(ciphertext) : undefined
    const claimed = (/** @type {string} */ id, /** @type {() => unknown} */ then) =>
      after(claim('session', id), () => (preKey === undefined ? then() : after(claim('pre-key', String(preKey)), then)))
    const pn = names.phoneNumber(address)
    if (pn === undefined) return claimed(address, work)
    return names.lidOf(pn).then((lid) => claimed(lid ? names.address(lid) : address, () => names.knowing(pn, lid, work)))
  }
}

/**
 * @param {'authorJid' | 'meId'} author
 * @param {(call: any) => string} groupOf
 * @returns {Ratchets}
 */
const senderKey = (author, groupOf = ({ group }) => group) => ({
  label: groupOf,
  prepare: (call, names, claim, work) => {
    const id = attempt(() => `${groupOf(call)}::${names.address(call[author]).replace('.', '::')}`)
    return isName(id) ? after(claim('sender-key', id), work) : work()
  }
})

/** @type {Record<string, Ratchets>} */
const RATCHETS = {
  decryptMessage: SESSION,
  encryptMessage: SESSION,
  injectE2ESession: SESSION,
  decryptGroupMessage: senderKey('authorJid'),
  encryptGroupMessage: senderKey('meId'),
  getSenderKeyDistributionMessage: senderKey('meId'),
  processSenderKeyDistributionMessage: senderKey('authorJid', ({ item }) => item.groupId)
}

/** In 7.0 too it looks whether there is a sender key before it begins its transaction, and writes an empty one where there was none. */
const BEGINS_LATE = 'processSenderKeyDistributionMessage'
/** These answer at once and use no keys. */
const WITHOUT_KEYS = ['jidToSignalProtocolAddress', 'close']

/**
 * Marks the calls of a repository's methods, has each claim the ratchets that it touches, and gives a transaction to those that open none.
 * @param {any} repository
 * @param {any} keys those that it works with
 * @param {<T>(call: () => T, prepare?: Prepare) => T} enter
 * @param {object} about
 * @param {boolean} about.isBare whether it opens no transactions at all, as that of Baileys 6.7
 * @param {import('./socket-end.js').SocketEnd} about.ended
 */
function wrapRepository(repository, keys, enter, { isBare, ended }) {
  const names = new Names(repository, ended)
  for (const name of new Set([...Object.keys(repository), ...Object.keys(RATCHETS)])) {
    const method = repository[name]
    if (typeof method !== 'function' || WITHOUT_KEYS.includes(name)) continue
    const ratchets = RATCHETS[name]
    if (!ratchets) {
      repository[name] = (/** @type {unknown[]} */ ...given) => enter(() => Reflect.apply(method, repository, given))
      continue
    }
    const getsTransaction = isBare || name === BEGINS_LATE
    repository[name] = (/** @type {any} */ call) => {
      const run = () => Reflect.apply(method, repository, [call])
      const label = getsTransaction ? attempt(() => ratchets.label(call, names)) : undefined
      return enter(isName(label) ? () => keys.transaction(run, label) : run, (claim, work) => ratchets.prepare(call, names, claim, work))
    }
  }
  return repository
}

/** How a repository names what it stores. */
class Names {
  /** LIDs that were looked up for calls which have not ended, by phone number. @type {Map<string, string | null>} */
  #known = new Map()
  /** @type {(pn: string) => Promise<string | null>} */
  lookUp = async () => null

  /**
   * @param {any} repository
   * @param {import('./socket-end.js').SocketEnd} ended
   */
  constructor(repository, ended) {
    this.repository = repository
    this.ended = ended
    const { lidMapping } = repository
    this.hasLids = typeof lidMapping?.getLIDForPN === 'function'
    if (!this.hasLids) return
    this.lookUp = lidMapping.getLIDForPN.bind(lidMapping)
    // A repository asks for the LID once more inside of libsignal's queue, where nobody may wait for the network.
    lidMapping.getLIDForPN = async (/** @type {string} */ pn) => this.#known.has(pn) ? this.#known.get(pn) : this.lookUp(pn)
  }

  /**
   * @param {string} jid
   * @returns {string}
   */
  address(jid) {
    return this.repository.jidToSignalProtocolAddress(jid)
  }

  /**
   * What a repository asks for the LID of an address with; nothing where it stores the session under the address itself.
   * @param {string} address
   */
  phoneNumber(address) {
    const [, user, domain, device] = (this.hasLids && ADDRESS.exec(address)) || []
    if (user === undefined || LID_DOMAINS.includes(domain ?? '')) return undefined
    return `${user}${device === '0' ? '' : `:${device}`}@${domain === HOSTED_DOMAIN ? 'hosted' : 's.whatsapp.net'}`
  }

  /**
   * The LID of a phone number. Whoever asks has a label, which the next socket of the account needs when this one has ended.
   * @param {string} pn
   */
  lidOf(pn) {
    return this.ended.before(() => this.lookUp(pn))
  }

  /**
   * @template T
   * @param {string} pn
   * @param {string | null | undefined} lid
   * @param {() => T} work
   */
  async knowing(pn, lid, work) {
    this.#known.set(pn, lid ?? null)
    try {
      return await work()
    } finally {
      this.#known.delete(pn)
    }
  }
}

/**
 * @template T
 * @param {Promise<unknown> | undefined} wait
 * @param {() => T} then
 */
function after(wait, then) {
  return wait ? wait.then(then) : then()
}

/**
 * Whether there is something to lock: where there is not, the method says what is wrong.
 * @param {unknown} name
 * @returns {name is string}
 */
function isName(name) {
  return typeof name === 'string' && name !== ''
}

/**
 * @template T
 * @param {() => T} work
 * @returns {T | undefined} nothing where it throws
 */
function attempt(work) {
  try {
    return work()
  } catch {
    return undefined
  }
}

module.exports = { wrapRepository }
