import { stackRow } from '../lib/stack-rows.mjs'
import { transactionLane } from '../lib/transaction-rows.mjs'

export default stackRow({
  name: 'stacks-contended',
  title: 'stacks of holders and waiters, one label, 64 in flight',
  lane: transactionLane({ inFlight: 64 })
})
