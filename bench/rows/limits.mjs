import { limits } from '../lib/limits.mjs'

export default {
  name: 'limits',
  title: 'limits of this machine',
  unit: 'ops/s',
  peers: Object.keys(limits)
}
