import { sealedRow, sealingCosts } from '../lib/sealed-rows.mjs'
import { writeLane } from '../lib/session-rows.mjs'

export default sealedRow({
  name: 'sealed-set',
  title: 'set of one session, plain and sealed',
  unit: 'set/s',
  lane: writeLane,
  figures: [sealingCosts(0.35)]
})
