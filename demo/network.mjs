/** What stands between two phones: the server that hands out key bundles, and the wire on which ciphertexts wait. */
import { decodeBinaryNode, encodeBinaryNode, getBinaryNodeChild, getBinaryNodeChildren, S_WHATSAPP_NET } from 'baileys'

/** Public key bundles by account. Each one-time pre-key is handed out once. */
export class KeyServer {
  #bundles = new Map()

  /** Takes the node that Baileys uploads pre-keys with. */
  async upload(lid, node) {
    const kept = this.#bundles.get(lid)?.preKeys ?? []
    const part = tag => getBinaryNodeChild(node, tag)
    this.#bundles.set(lid, {
      fixed: ['registration', 'type', 'identity', 'skey'].map(part),
      preKeys: [...kept, ...getBinaryNodeChildren(part('list'), 'key')],
    })
  }

  /** Answers with the node that Baileys starts a session from. */
  async bundle(lid) {
    const { fixed, preKeys } = this.#bundles.get(lid)
    const user = { tag: 'user', attrs: { jid: lid }, content: [...fixed, preKeys.shift()].filter(Boolean) }
    const list = { tag: 'list', attrs: {}, content: [user] }
    return { tag: 'iq', attrs: { type: 'result', from: S_WHATSAPP_NET }, content: [list] }
  }
}

/** Turns a stanza as it was sent into the stanza that the other one receives, as the server does. */
export async function routed(bytes, sender) {
  const { attrs, content } = await decodeBinaryNode(bytes)
  const inGroup = attrs.to.endsWith('@g.us')
  const author = inGroup
    ? { from: attrs.to, participant: sender.lid, participant_pn: sender.pn }
    : { from: sender.lid, sender_pn: sender.pn }
  const enclosed = content.flatMap(node => (node.tag === 'participants' ? node.content[0].content : node))
  const t = String(Math.floor(Date.now() / 1000))
  return encodeBinaryNode({
    tag: 'message',
    attrs: { ...author, id: attrs.id, type: attrs.type, addressing_mode: 'lid', notify: sender.name, t },
    content: enclosed,
  })
}

/** Ciphertexts that were sent and not yet read, oldest first. It outlives the process that made them. */
export class Wire {
  #waiting = new Map()

  put(message, bytes) {
    this.#waiting.set(message, bytes)
  }

  remove(message) {
    this.#waiting.delete(message)
  }

  /** Pairs of a message and its bytes. */
  waiting() {
    return [...this.#waiting]
  }
}
