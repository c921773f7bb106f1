import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const PACKAGE = fileURLToPath(new URL('../..', import.meta.url))

/** Loads the package once more, as a cleared module cache does. */
export function loadAgain() {
  const require = createRequire(import.meta.url)
  const kept = {}
  for (const name of Object.keys(require.cache)) {
    if (name.startsWith(join(PACKAGE, 'js')) || name === join(PACKAGE, 'index.js') || name === join(PACKAGE, 'binding.js') || name.endsWith('.node')) {
      kept[name] = require.cache[name]
      delete require.cache[name]
    }
  }
  const copy = require(join(PACKAGE, 'index.js'))
  for (const name of Object.keys(require.cache)) if (name.startsWith(PACKAGE) && !name.includes('node_modules')) delete require.cache[name]
  Object.assign(require.cache, kept)
  return copy
}
