import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Collects garbage, in a process that was not started for it. */
export const collectGarbage = globalThis.Bun ? () => globalThis.Bun.gc(true) : exposed()

function exposed() {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc')
}
