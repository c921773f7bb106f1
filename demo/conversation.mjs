/**
 * Two WhatsApp accounts that talk without WhatsApp.
 *
 * Each is wired as `makeSocket` wires it: the store behind `addTransactionCapability`, libsignal's repository on top, key bundles
 * uploaded and fetched as binary nodes, messages read by Baileys' own `decryptMessageNode`. Only the socket is missing: what would
 * go into it comes back as a value, so that a caller decides what the network does. Any `SignalKeyStore` with creds will do.
 */
import {
  addTransactionCapability,
  decodeBinaryNode,
  decryptMessageNode,
  DEFAULT_CONNECTION_CONFIG,
  encodeBinaryNode,
  encodeWAMessage,
  getNextPreKeysNode,
  INITIAL_PREKEY_COUNT,
  parseAndInjectE2ESessions,
} from 'baileys'
import { routed } from './network.mjs'

/** The group that both are in. */
export const GROUP = '120363000000000001@g.us'

/** The two people, by account name. Numbers are from the range that is reserved for fiction. */
export const PEOPLE = {
  ada: { name: 'Ada', pn: '15550100001@s.whatsapp.net', lid: '100000000000001@lid' },
  ben: { name: 'Ben', pn: '15550100002@s.whatsapp.net', lid: '100000000000002@lid' },
}

/** The other account. */
export const peerOf = account => (account === 'ada' ? 'ben' : 'ada')

/** Pino-shaped and silent: what goes wrong reaches the caller as an error. */
export const silent = {
  level: 'silent',
  child: () => silent,
  trace() {},
  debug() {},
  info() {},
  warn() {},
  error() {},
}

/**
 * Signs an account in on its store.
 *
 * `server` keeps the public key bundles: `upload(lid, node)` and `bundle(lid)`, see `KeyServer`.
 * Messages of one account may be sent and received concurrently; Baileys' locks put them in order.
 */
export async function signIn(account, { creds, keys: store, saveCreds = async () => {}, server }) {
  const me = PEOPLE[account]
  const peer = PEOPLE[peerOf(account)]
  const keys = addTransactionCapability(store, silent, DEFAULT_CONNECTION_CONFIG.transactionOpts)
  const repository = DEFAULT_CONNECTION_CONFIG.makeSignalRepository({ creds, keys }, silent, async () => [])
  if (!creds.me) {
    creds.me = { id: me.pn, lid: me.lid, name: me.name }
    await saveCreds()
  }

  /** Makes the next pre-keys, stores them, and only then tells the server about them. */
  async function uploadPreKeys(count = INITIAL_PREKEY_COUNT) {
    let saved
    const node = await keys.transaction(async () => {
      const { update, node } = await getNextPreKeysNode({ creds, keys }, count)
      // Inside the transaction, where Baileys emits 'creds.update': the same ids must never be handed out twice.
      Object.assign(creds, update)
      saved = saveCreds()
      return node
    }, creds.me.id)
    await saved
    await server.upload(me.lid, node)
  }

  /** First contact: an account that never uploaded a pre-key does so, and both learn each other's two addresses. */
  async function register() {
    await repository.lidMapping.storeLIDPNMappings([{ lid: peer.lid, pn: peer.pn }])
    if (creds.nextPreKeyId === 1) await uploadPreKeys()
  }

  async function assertSession(force) {
    if (!force && (await repository.validateSession(peer.lid)).exists) return
    await parseAndInjectE2ESessions(await server.bundle(peer.lid), repository)
  }

  async function encryptForPeer(message) {
    const { type, ciphertext } = await repository.encryptMessage({ jid: peer.lid, data: encodeWAMessage(message) })
    const enc = { tag: 'enc', attrs: { v: '2', type }, content: ciphertext }
    return { tag: 'participants', attrs: {}, content: [{ tag: 'to', attrs: { jid: peer.lid }, content: [enc] }] }
  }

  /**
   * Encrypts one message and returns the bytes for the wire; when it resolves, the ratchet step is stored.
   * `renew` starts a new session from a fresh key bundle, as Baileys does when the other side asks for a retry; in the group it
   * hands out the sender key again.
   */
  async function send({ id, toGroup, text, renew = false }) {
    const content = []
    let senderKeyMemory
    await assertSession(renew)
    if (toGroup) {
      const { ciphertext, senderKeyDistributionMessage } = await repository.encryptGroupMessage({
        group: GROUP,
        meId: me.lid,
        data: encodeWAMessage({ conversation: text }),
      })
      const { [GROUP]: known } = await keys.get('sender-key-memory', [GROUP])
      if (renew || !known?.[peer.lid]) {
        senderKeyMemory = { ...known, [peer.lid]: true }
        const distribution = { groupId: GROUP, axolotlSenderKeyDistributionMessage: senderKeyDistributionMessage }
        content.push(await encryptForPeer({ senderKeyDistributionMessage: distribution }))
      }
      content.push({ tag: 'enc', attrs: { v: '2', type: 'skmsg' }, content: ciphertext })
    } else {
      content.push(await encryptForPeer({ conversation: text }))
    }
    if (senderKeyMemory) await keys.set({ 'sender-key-memory': { [GROUP]: senderKeyMemory } })
    return encodeBinaryNode({ tag: 'message', attrs: { id, to: toGroup ? GROUP : peer.lid, type: 'text' }, content })
  }

  /** Decrypts one message from the wire and returns its text; when it resolves, the ratchet step is stored. */
  async function receive(bytes) {
    const { fullMessage, decrypt } = decryptMessageNode(
      await decodeBinaryNode(bytes), creds.me.id, creds.me.lid, repository, silent)
    await decrypt()
    // Baileys turns a failure into a stub message that carries the reason.
    if (fullMessage.messageStubParameters) throw new Error(fullMessage.messageStubParameters[0])
    return fullMessage.message.conversation
  }

  return { account, creds, register, uploadPreKeys, send, receive, close: () => repository.close() }
}

/**
 * Plays turns with both accounts in this process and nothing between them. The messages of one turn are encrypted at once,
 * then decrypted at once. Returns how many were read; throws where a text differs.
 */
export async function converse(accounts, turns) {
  let read = 0
  for (const { topUp, messages } of turns) {
    if (topUp) await accounts[topUp].uploadPreKeys(5)
    const wire = await Promise.all(messages.map(message => accounts[message.from].send(message)))
    await Promise.all(messages.map(async (message, index) => {
      const bytes = await routed(wire[index], PEOPLE[message.from])
      const text = await accounts[peerOf(message.from)].receive(bytes)
      if (text !== message.text) throw new Error(`message ${message.id} arrived as ${JSON.stringify(text)}`)
      read++
    }))
  }
  return read
}
