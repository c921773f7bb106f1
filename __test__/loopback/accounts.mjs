/**
 * Accounts that are signed in already.
 *
 * - `makeAccount({ jid, lid, name, baileys })`: `{ creds, keys, jid, lid, name }`, an `auth` for a socket. Its keys live in memory and are
 *   turned to text and back as `useMultiFileAuthState` does it.
 * - `signIn(creds, { jid, lid, name })`: makes fresh creds of any store (from Baileys' `initAuthCreds`) creds as pairing leaves them.
 *
 * `jid` is an address with a device, such as `15550100001:1@s.whatsapp.net`; device 0 is the phone. `lid` has the same device.
 */
import { BufferJSON, Curve, initAuthCreds, jidDecode, jidEncode, proto } from 'baileys'

const ACCOUNT_PREFIX = Buffer.from([6, 0])
const DEVICE_PREFIX = Buffer.from([6, 1])
const LID_OF_NUMBER = 100_000_000_000_000n

/** Another LID than the number, but always the same. */
function lidFor(jid) {
  const { user, device } = jidDecode(jid)
  return jidEncode(String(LID_OF_NUMBER + BigInt(user)), 'lid', device)
}

export function signIn(creds, { jid, lid = lidFor(jid), name = 'Ada' }) {
  const phone = Curve.generateKeyPair()
  const identity = creds.signedIdentityKey
  const keyIndex = jidDecode(jid).device
  const details = proto.ADVDeviceIdentity.encode({ rawId: 1, timestamp: 1_700_000_000, keyIndex }).finish()
  creds.me = { id: jid, lid, name }
  creds.registered = true
  creds.platform = 'android'
  creds.account = {
    details,
    accountSignatureKey: phone.public,
    accountSignature: Curve.sign(phone.private, Buffer.concat([ACCOUNT_PREFIX, details, identity.public])),
    deviceSignature: Curve.sign(identity.private, Buffer.concat([DEVICE_PREFIX, details, identity.public, phone.public])),
  }
  return creds
}

export function makeAccount({ jid, lid = lidFor(jid), name }) {
  return { jid, lid, name, creds: signIn(initAuthCreds(), { jid, lid, name }), keys: keysInMemory() }
}

export function keysInMemory() {
  const records = new Map()
  const nameOf = (family, id) => JSON.stringify([family, id])
  return {
    async get(family, ids) {
      const found = {}
      for (const id of ids) {
        const text = records.get(nameOf(family, id))
        if (text !== undefined) found[id] = JSON.parse(text, BufferJSON.reviver)
      }
      return found
    },
    async set(data) {
      for (const [family, values] of Object.entries(data)) {
        for (const [id, value] of Object.entries(values)) {
          if (value === null || value === undefined) records.delete(nameOf(family, id))
          else records.set(nameOf(family, id), JSON.stringify(value, BufferJSON.replacer))
        }
      }
    },
  }
}
