import { atMost } from './figures.mjs'
import { pairedRatio } from './measure.mjs'
import { inFreshProcesses } from './plans.mjs'
import { stacksLeftOut } from './stackless.mjs'

/**
 * What it costs to keep where calls were made, found out with the transactions of `lane`: the package as it is, and the same package in a process
 * in which nothing captures a stack.
 */
export const stackRow = ({ name, title, lane }) => ({
  name,
  title,
  unit: 'transactions/s',
  isolate: true,
  peers: ['cask', 'cask-stackless'],
  // Two lanes and a small difference between them.
  plan: options => options.quick ? { rounds: 9 } : { ...inFreshProcesses(options), rounds: 27 },
  async open(context) {
    const opened = await lane(context)
    let transactions = 0
    return {
      ...opened,
      async run(n) {
        await opened.run(n)
        transactions += n
      },
      async facts() {
        await opened.facts()
        if (context.peer !== 'cask-stackless') return {}
        const stacks = stacksLeftOut() / transactions
        // Then the package keeps its stacks in another way, and both lanes do the same.
        if (stacks === 0) throw new Error('no stack was left out')
        return { stacks }
      }
    }
  },
  describe: ({ stacks }) => stacks && `the other lane keeps ${stacks.toFixed(2)} stacks a transaction`,
  figures: [
    atMost('with stacks <= 1.1x the time without', 1.1, (cask, peers) => peers['cask-stackless'] && pairedRatio(peers['cask-stackless'], cask), 'ratio')
  ]
})
