import { atMost } from '../lib/figures.mjs'
import { addedMicroseconds, sealedRow } from '../lib/sealed-rows.mjs'

const RECORDS = 4_096

/** A lane that writes one lid-mapping a call and waits for it. */
const lane = async ({ openStore, same }) => {
  const store = await openStore()
  const keys = await store.account()
  const ids = Array.from({ length: RECORDS }, (_, i) => String(4915100000000 + i))
  let at = 0
  const next = () => {
    const n = at++
    return { 'lid-mapping': { [ids[n % RECORDS]]: String(100000000000000 + n) } }
  }
  await keys.set(next())
  same(await keys.get('lid-mapping', [ids[0]]), { [ids[0]]: '100000000000000' })
  return {
    async run(n) {
      for (let i = 0; i < n; i++) await keys.set(next())
    },
    close: () => store.close()
  }
}

export default sealedRow({
  name: 'sealed-small',
  title: 'set of one lid-mapping, plain and sealed',
  unit: 'set/s',
  lane,
  figures: [atMost('sealing costs <= 3 us', 3, (cask, peers) => peers['cask-sealed'] && addedMicroseconds(peers), 'microseconds')]
})
