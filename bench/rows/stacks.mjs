import { stackRow } from '../lib/stack-rows.mjs'
import { transactionLane } from '../lib/transaction-rows.mjs'

export default stackRow({
  name: 'stacks',
  title: 'stacks of holders (one in 64), one label',
  lane: transactionLane()
})
