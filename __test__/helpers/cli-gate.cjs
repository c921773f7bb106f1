// Loaded into a command before anything else: makes it stand still at a place that a test has chosen. See `standstill` in cli.mjs.
'use strict'

const fs = require('node:fs')
const { basename, join } = require('node:path')

const { folder, file, binding, raise, holds, at } = JSON.parse(process.env.CASK_GATE)
// Not for what the command may start itself.
delete process.env.NODE_OPTIONS
delete process.env.BUN_OPTIONS
const LOOK_MS = 2
let left = at

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => fs.writeFileSync(join(folder, 'heard'), signal))

function reached() {
  fs.writeFileSync(join(folder, 'reached'), String(process.pid))
  if (raise) process.kill(process.pid, raise)
}

/** Calls back when the test lets it go. */
function opened(go) {
  if (fs.existsSync(join(folder, 'open'))) go()
  else setTimeout(opened, LOOK_MS, go)
}

if (file !== undefined) {
  const { open } = fs
  fs.open = (path, ...rest) => {
    if (!basename(String(path)).startsWith(file) || --left !== 0) return open(path, ...rest)
    reached()
    if (raise) return open(path, ...rest)
    opened(() => open(path, ...rest))
  }
}

if (binding !== undefined) {
  const core = require('../../binding.js')
  const call = core[binding]
  core[binding] = (...args) => {
    const answer = call(...args)
    if (--left === 0) {
      reached()
      // What the core has done by then is not heard of, so that the command cannot end before the signal comes.
      if (holds) core.takeSettled = () => 0
    }
    return answer
  }
}
