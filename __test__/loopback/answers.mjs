/** What the server answers to queries: `answer(stanza, device, directory)` gives the content of the result. */
import { getAllBinaryNodeChildren, getBinaryNodeChild, getBinaryNodeChildren, jidEncode } from 'baileys'
import { isLid } from './directory.mjs'

const node = (tag, attrs = {}, content = undefined) => ({ tag, attrs, content })

/** By the kind of the query, see `kinds.mjs`; any other gets an empty result. */
const ANSWERS = {
  'encrypt count': (query, device) => [node('count', { value: String(device.oneTimeKeys.length) })],
  'encrypt digest': (query, device) => [node('digest', {}, device.fixedKeys)],

  'encrypt upload': (query, device) => {
    device.takeKeys(query)
  },

  'encrypt rotate': (query, device) => {
    const key = getBinaryNodeChild(getBinaryNodeChild(query, 'rotate'), 'skey')
    device.fixedKeys = device.fixedKeys.map(part => (part.tag === 'skey' ? key : part))
  },

  encrypt: (query, device, directory) => {
    const users = getBinaryNodeChildren(getBinaryNodeChild(query, 'key'), 'user').map(({ attrs: { jid } }) => {
      const bundle = directory.device(jid)?.bundle()
      return node('user', { jid }, bundle ?? [node('error', { code: '404', text: 'item-not-found' })])
    })
    return [node('list', {}, users)]
  },

  usync: (query, device, directory) => {
    const request = getBinaryNodeChild(query, 'usync')
    const protocols = getAllBinaryNodeChildren(getBinaryNodeChild(request, 'query')).map(({ tag }) => tag)
    const users = getBinaryNodeChildren(getBinaryNodeChild(request, 'list'), 'user').flatMap(user => userOf(user, protocols, directory))
    return [node('usync', request.attrs, [node('list', {}, users)])]
  },

  'w:g2': (query, device, directory) => {
    const { to } = query.attrs
    if (getBinaryNodeChild(query, 'participating')) {
      const groups = [...directory.groups.values()].filter(({ accounts }) => accounts.includes(device.account))
      return [node('groups', {}, groups.map(groupNode))]
    }
    const group = directory.groups.get(to)
    return [group ? groupNode(group) : node('error', { code: '404', text: 'item-not-found' })]
  },

  privacy: query => (query.attrs.type === 'get' ? [node('privacy', {}, [node('category', { name: 'readreceipts', value: 'all' })])] : undefined),
  blocklist: () => [node('list', {}, [])],
  abt: () => [node('props', {}, [])],

  'w:sync:app:state': query => {
    const collections = getBinaryNodeChildren(getBinaryNodeChild(query, 'sync'), 'collection')
    return [node('sync', {}, collections.map(({ attrs: { name, version } }) => node('collection', { name, version })))]
  },
}

function userOf(user, protocols, directory) {
  const number = getBinaryNodeChild(user, 'contact')?.content?.toString().replace('+', '')
  const jid = user.attrs.jid ?? jidEncode(number, 's.whatsapp.net')
  const account = directory.account(jid)
  if (!account) return protocols.includes('contact') ? node('user', { jid }, [node('contact', { type: 'out' })]) : []
  const parts = {
    contact: () => node('contact', { type: 'in' }),
    devices: () => node('devices', {}, [node('device-list', {}, [...account.devices.keys()].sort((a, b) => a - b).map(deviceNode))]),
    lid: () => !isLid(jid) && node('lid', { val: jidEncode(account.lid, 'lid') }),
  }
  return node('user', { jid }, protocols.map(name => parts[name]?.()).filter(Boolean))
}

const deviceNode = id => node('device', id === 0 ? { id: '0' } : { id: String(id), 'key-index': String(id) })

function groupNode({ id, accounts, subject, byLid }) {
  const members = accounts.map(({ pn, lid }) => {
    const names = [jidEncode(pn, 's.whatsapp.net'), jidEncode(lid, 'lid')]
    return node('participant', byLid ? { jid: names[1], phone_number: names[0] } : { jid: names[0], lid: names[1] })
  })
  const since = '1700000000'
  const attrs = { id: id.split('@')[0], subject, creation: since, s_t: since, creator: members[0].attrs.jid, addressing_mode: byLid ? 'lid' : 'pn' }
  return node('group', attrs, members)
}

export function answer(kind, query, device, directory) {
  return ANSWERS[kind]?.(query, device, directory)
}
