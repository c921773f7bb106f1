import { addTransactionCapability, DEFAULT_CONNECTION_CONFIG } from 'baileys'
import { pairedTimesAsFast } from '../lib/figures.mjs'
import { silentLogger } from '../lib/logger.mjs'
import { makeConversations, MESSAGES, openParty } from '../lib/message-rows.mjs'

const ME = '4915100000000:1@s.whatsapp.net'

/** What makeSocket of Baileys 7.0.0-rc14 does with its configuration: wrap the keys, and have a repository made of the wrapper. */
const makeSocketKeys = ({ auth: { creds, keys: given }, logger, transactionOpts, makeSignalRepository }) => {
  const keys = addTransactionCapability(given, logger, transactionOpts)
  return { keys, repository: makeSignalRepository({ creds, keys }, logger, async () => undefined) }
}

/** As relayMessage does, in a transaction of the socket under its own id. */
const encrypt = ({ keys, repository }, call) => keys.transaction(() => repository.encryptMessage(call), ME)

export default {
  name: 'messages-with-cask',
  title: 'real 1:1 messages over the keys of a stock socket',
  unit: 'messages/s',
  ours: 'cask-with-cask',
  isolate: true,
  peers: ['cask-with-cask', 'cask-wrapped', 'map', 'sqlite-normal'],
  // Two peers that are nearly equal, in the noise of all the cryptography.
  plan: ({ quick }) => quick ? { rounds: 5, warmups: 1 } : { rounds: 61, warmups: 5 },
  async open({ peer, openStore, quick }) {
    const store = await openStore()
    const connect = auth => {
      const config = { ...DEFAULT_CONNECTION_CONFIG, auth, logger: silentLogger }
      const socket = makeSocketKeys(store.socketConfig?.(config) ?? config)
      const isHandedOver = socket.keys.transactWith !== undefined
      if (isHandedOver !== (peer === 'cask-with-cask')) throw new Error('the socket has not the keys that it should have')
      return socket
    }
    const alice = await openParty({ store, name: 'alice', quick, connect, encrypt })
    const bob = await openParty({ store, name: 'bob', quick, connect, encrypt })
    const meet = makeConversations(alice, bob)
    let conversation
    return {
      fixed: true,
      async before() {
        conversation = await meet()
      },
      async run() {
        return { ops: MESSAGES, ms: await conversation() }
      },
      async close() {
        alice.repository.close?.()
        bob.repository.close?.()
        await store.close()
      }
    }
  },
  figures: [pairedTimesAsFast('cask-wrapped', 0.97, 'plain auth.keys on a cask', 'cask-with-cask')]
}
