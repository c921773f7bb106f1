/** What a store has left in its folder. */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** Files, how many of them are empty, bytes in them, and the space they take up on disk (NaN where the system does not tell). */
export function diskUse(folder) {
  const use = { files: 0, empty: 0, bytes: 0, space: 0 }
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) {
      const inner = diskUse(path)
      for (const key of Object.keys(use)) use[key] += inner[key]
    } else {
      const { size, blocks } = statSync(path)
      use.files++
      use.empty += size === 0 ? 1 : 0
      use.bytes += size
      use.space += (blocks ?? NaN) * 512
    }
  }
  return use
}
