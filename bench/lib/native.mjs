import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const require = createRequire(import.meta.url)
const root = join(dirname(fileURLToPath(import.meta.url)), '..')

const loads = () => {
  // In a process of its own: a failed load is remembered by the process that tried it.
  const probe = 'const Database = require("better-sqlite3"); new Database(":memory:").close()'
  return spawnSync(process.execPath, ['-e', probe], { cwd: root, stdio: 'ignore' }).status === 0
}

/** Headers that came with the running Node, or undefined: with them nothing has to be downloaded to build an addon. */
const headersFolder = () => {
  const prefix = join(dirname(process.execPath), '..')
  return existsSync(join(prefix, 'include', 'node', 'node.h')) ? prefix : undefined
}

/**
 * Builds better-sqlite3 where it is not built yet. `npm ci` runs no install scripts here, because the package's own script
 * starts with a download and fails the whole installation where neither that nor Node's headers can be had.
 * Returns a reason where the peer has to be left out.
 */
export const buildSqlite = report => {
  try {
    require.resolve('better-sqlite3/package.json')
  } catch {
    return 'not installed: run `npm ci` in bench/'
  }
  if (loads()) return undefined
  report('building better-sqlite3, once; this takes about a minute')
  const headers = headersFolder()
  const env = { ...process.env }
  if (headers) {
    env.npm_config_nodedir = headers
    env.npm_config_build_from_source = 'better-sqlite3'
  }
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
  const build = spawnSync(npm, ['rebuild', 'better-sqlite3', '--ignore-scripts=false', '--foreground-scripts'], {
    cwd: root,
    env,
    encoding: 'utf8',
    shell: process.platform === 'win32',
    maxBuffer: 1 << 28
  })
  if (loads()) return undefined
  const lines = `${build.stdout ?? ''}\n${build.stderr ?? ''}`.trim().split('\n')
  const cause = lines.filter(line => /error|ERR!/i.test(line)).slice(-3).join(' | ') || build.error?.message || 'no output'
  return `could not be built (needs a C++ compiler, Python and Node's headers): ${cause}`
}
