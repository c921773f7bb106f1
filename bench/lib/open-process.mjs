// A process that opens a folder which others have left, and says what it took. See openers.mjs.
import { openPeer } from '../stores/index.mjs'
import { answerer } from './calls.mjs'
import { residentOutsideV8 } from './measure.mjs'

let store

process.on('message', answerer({
  ready: () => {},
  async open({ peer, dir, resident }) {
    const before = resident ? await residentOutsideV8() : 0
    const started = performance.now()
    store = await openPeer(peer, dir)
    const ms = performance.now() - started
    return { ms, resident: resident ? await residentOutsideV8() - before : 0 }
  },
  /** One record, as it is read after the open. */
  async get({ family, record }) {
    const keys = await store.account()
    const { [record]: value } = await keys.get(family, [record])
    return value
  },
  /** So many sets, one record each. */
  async set({ family, count }) {
    const keys = await store.account()
    for (let i = 0; i < count; i++) await keys.set({ [family]: { [`opened ${i}`]: `${i}` } })
  },
  async close() {
    await store.close()
    setImmediate(() => process.exit(0))
  }
}, message => process.send(message)))
process.on('disconnect', () => process.exit(1))
