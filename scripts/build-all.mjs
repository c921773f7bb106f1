// Builds the addon, and beside it the tests of the core: the last step of a release build keeps one processor busy and leaves the others idle.
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

/** Runs one command after the other; gives whether all of them succeeded. */
async function inTurn(...commands) {
  for (const command of commands) {
    const child = spawn(command, { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'], shell: true })
    const code = await new Promise(resolve => child.on('error', () => resolve(1)).on('close', resolve))
    if (code !== 0) {
      console.error(`failed: ${command}`)
      return false
    }
  }
  return true
}

const built = await Promise.all([
  inTurn('npm run build'),
  inTurn('cargo test --no-default-features --no-run', 'cargo test --no-default-features --features schedules --lib --no-run'),
])
process.exitCode = built.every(Boolean) ? 0 : 1
