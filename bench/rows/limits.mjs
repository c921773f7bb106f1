import { limits } from '../lib/limits.mjs'

export default {
  name: 'limits',
  title: 'limits of this machine',
  unit: 'ops/s',
  // What an `await` takes depends on what else is in its process.
  peers: Object.keys(limits).filter(name => !name.startsWith('await'))
}
