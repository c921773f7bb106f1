import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { importMultiFile, openCask } from '../../index.mjs'
import { FILES, makeAuthFolder } from '../lib/auth-folder.mjs'
import { atMost } from '../lib/figures.mjs'

export default {
  name: 'import-folder',
  title: 'import of a folder of 50,000 files',
  unit: 'files/s',
  peers: ['cask', 'read-files'],
  plan: ({ quick }) => quick ? { rounds: 2, warmups: 0 } : { rounds: 7, warmups: 1 },
  async open({ dir, same }) {
    const folder = join(dir, 'folder')
    await makeAuthFolder(folder)
    let rounds = 0
    let path
    let cask
    return {
      fixed: true,
      async before() {
        path = join(dir, `round-${++rounds}`)
        cask = await openCask({ path })
      },
      async run() {
        const started = performance.now()
        const { complete, records } = await importMultiFile(folder, cask.account())
        const ms = performance.now() - started
        same([complete, Object.values(records).reduce((sum, count) => sum + count, 0)], [true, FILES])
        return { ops: FILES, ms }
      },
      async after() {
        await cask.close()
        rmSync(path, { recursive: true, force: true })
      }
    }
  },
  figures: [atMost('<= 1.5x the time of reading the files', 1.5, (cask, peers) => peers['read-files'] && peers['read-files'].median / cask.median, 'ratio')]
}
