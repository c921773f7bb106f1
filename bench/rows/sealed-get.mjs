import { sealedRow, sealingCosts } from '../lib/sealed-rows.mjs'
import { readLane } from '../lib/session-rows.mjs'

export default sealedRow({
  name: 'sealed-get',
  title: 'get of one 2 KB session, hot, plain and sealed',
  unit: 'get/s',
  lane: readLane(1),
  figures: [sealingCosts(0.35)]
})
