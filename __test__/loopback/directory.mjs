/**
 * Who there is: accounts with a phone number and a LID, their devices with key bundles, and groups.
 *
 * A real account consists of its phone, device 0, and of linked devices such as a Baileys socket. The phone of ours is made up here: its keys
 * are handed out to whoever asks, so that messages are encrypted for it too, and what is sent to it is dropped.
 */
import { Curve, encodeBigEndian, getBinaryNodeChild, getBinaryNodeChildren, jidDecode, jidEncode, KEY_BUNDLE_TYPE, signedKeyPair, xmppSignedPreKey } from 'baileys'

const PHONE = 0
export const isLid = jid => jid.endsWith('@lid')

class Device {
  connection
  #isActive = false
  /** Stanzas that it has not confirmed. */
  #waiting = new Map()
  /** Public keys: what stays, and the one-time keys that are left. */
  fixedKeys
  oneTimeKeys = []

  constructor(account, id) {
    this.account = account
    this.id = id
  }

  /** Its address, by phone number or by LID. */
  jid(byLid = false) {
    return byLid ? jidEncode(this.account.lid, 'lid', this.id) : jidEncode(this.account.pn, 's.whatsapp.net', this.id)
  }

  join(connection) {
    this.connection = connection
    this.#isActive = false
  }

  leave() {
    this.connection = undefined
  }

  /** The client is ready for what others send. */
  beActive() {
    this.#isActive = true
    for (const stanza of this.#waiting.values()) this.connection?.send(stanza)
  }

  /** Sends it a message or a receipt, as often as it comes back before it has confirmed that. */
  deliver(stanza) {
    const { tag, attrs } = stanza
    this.#waiting.set(nameOf(tag, attrs.id, attrs.participant ?? attrs.from), stanza)
    if (this.#isActive) this.connection?.send(stanza)
  }

  /** Takes its receipt or ack, of a message, or its ack of a receipt. */
  confirm({ tag, attrs }) {
    const confirmed = tag === 'receipt' ? 'message' : attrs.class
    this.#waiting.delete(nameOf(confirmed, attrs.id, attrs.participant ?? attrs.to))
  }

  /** Takes a stanza in which a client uploads pre-keys. */
  takeKeys(stanza) {
    this.fixedKeys = ['registration', 'type', 'identity', 'skey'].map(tag => getBinaryNodeChild(stanza, tag))
    this.oneTimeKeys.push(...getBinaryNodeChildren(getBinaryNodeChild(stanza, 'list'), 'key'))
  }

  /** A key bundle; each one-time key is handed out once. */
  bundle() {
    return this.fixedKeys && [...this.fixedKeys, this.oneTimeKeys.shift()].filter(Boolean)
  }
}

/** Several people send a receipt for the same message. */
const nameOf = (tag, id, from) => (tag === 'message' ? `${tag} ${id}` : `${tag} ${id} ${from}`)

class Account {
  devices = new Map()

  constructor({ pn, lid, name }) {
    Object.assign(this, { pn, lid, name })
  }

  device(id) {
    if (!this.devices.has(id)) this.devices.set(id, new Device(this, id))
    return this.devices.get(id)
  }

  /** Adds a device that is never online. */
  addSilentDevice(id) {
    const identity = Curve.generateKeyPair()
    const device = this.device(id)
    device.isSilent = true
    device.fixedKeys = [
      { tag: 'registration', attrs: {}, content: encodeBigEndian(1 + id) },
      { tag: 'type', attrs: {}, content: KEY_BUNDLE_TYPE },
      { tag: 'identity', attrs: {}, content: identity.public },
      xmppSignedPreKey(signedKeyPair(identity, 1)),
    ]
  }
}

export class Directory {
  /** By phone number and by LID. */
  #accounts = new Map()
  groups = new Map()

  /** Makes an account known; `jid` and `lid` with the device of the socket, as in `creds.me`. */
  register({ jid, lid, name }) {
    const { user: pn, device: id = PHONE } = jidDecode(jid)
    if (!this.#accounts.has(pn)) {
      const account = new Account({ pn, lid: jidDecode(lid).user, name })
      this.#accounts.set(pn, account).set(account.lid, account)
      if (id !== PHONE) account.addSilentDevice(PHONE)
    }
    return this.account(jid).device(id)
  }

  addSilentDevice(jid) {
    this.account(jid).addSilentDevice(jidDecode(jid).device)
  }

  account(jid) {
    return this.#accounts.get(jidDecode(jid)?.user)
  }

  /** The device an address means; the phone where it names none. */
  device(jid) {
    return this.account(jid)?.devices.get(jidDecode(jid).device ?? PHONE)
  }

  /** The same; all devices of the account where it names none. */
  devicesOf(jid) {
    if (jidDecode(jid)?.device === undefined) return [...(this.account(jid)?.devices.values() ?? [])]
    return [this.device(jid)].filter(Boolean)
  }

  /** `addressing`: whether members are named by `'pn'` or by `'lid'`. */
  addGroup({ id, members, addressing = 'pn', subject = 'Group' }) {
    const accounts = members.map(jid => this.account(jid))
    const group = { id, accounts, subject, byLid: addressing === 'lid' }
    this.groups.set(id, group)
    return group
  }
}
