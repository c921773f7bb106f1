/**
 * Where messages and receipts go: `routed(stanza, sender, directory)` gives pairs of a device and the stanza that it gets.
 *
 * Sender and receivers are named as the sender named its chat: by LID in a LID chat, else by phone number with the LID beside it. No
 * device gets its own message back.
 */
import { getBinaryNodeChild, getBinaryNodeChildren } from 'baileys'
import { isLid } from './directory.mjs'

const now = () => String(Math.floor(Date.now() / 1000))

export function routed(stanza, sender, directory) {
  const route = stanza.tag === 'message' ? message : receipt
  return route(stanza, sender, directory).filter(([device]) => device !== sender && !device.isSilent)
}

function message(stanza, sender, directory) {
  const { id, to, type, participant, recipient } = stanza.attrs
  const group = directory.groups.get(to)
  const byLid = group ? group.byLid : isLid(to)
  const from = sender.jid(byLid)
  const other = sender.jid(!byLid)
  const author = group
    ? { from: to, participant: from, [byLid ? 'participant_pn' : 'participant_lid']: other }
    : { from, [byLid ? 'sender_pn' : 'sender_lid']: other }
  const attrs = { ...author, id, type, t: now(), notify: sender.account.name, addressing_mode: byLid ? 'lid' : 'pn' }
  const forAll = getBinaryNodeChildren(stanza, 'enc')
  const identity = getBinaryNodeChild(stanza, 'device-identity')
  const written = new Map(getBinaryNodeChildren(getBinaryNodeChild(stanza, 'participants'), 'to')
    .map(({ attrs: { jid }, content }) => [directory.device(jid), content]))

  const receivers = () => {
    if (participant) return [directory.device(participant)]
    if (group) return group.accounts.flatMap(({ devices }) => [...devices.values()])
    return forAll.length > 0 ? [directory.device(to)] : [...written.keys()]
  }
  return receivers().filter(Boolean).map(device => {
    const enclosed = [...(written.get(device) ?? []), ...forAll]
    // The sender's other devices are told which chat the message is in.
    const chat = !group && device.account === sender.account ? { recipient: recipient ?? to } : {}
    return [device, { tag: 'message', attrs: { ...attrs, ...chat }, content: identity ? [...enclosed, identity] : enclosed }]
  })
}

function receipt({ attrs: { to, participant, ...attrs }, content }, sender, directory) {
  const group = directory.groups.get(to)
  const from = sender.jid(group ? group.byLid : isLid(to))
  const author = group ? { from: to, participant: from } : { from }
  const stanza = { tag: 'receipt', attrs: { t: now(), ...attrs, ...author }, content }
  return directory.devicesOf(participant ?? to).map(device => [device, stanza])
}
