import { spawn } from 'node:child_process'

/**
 * Runs a piece of ESM source in a process of its own, in the folder of this package, and waits for its end.
 * Gives its exit code, signal and output; kills it after `ms`.
 */
export function runScript(source, { ms = 20_000, cwd = new URL('../..', import.meta.url), shell, nodeArguments = [], ...options } = {}) {
  const command = [...nodeArguments, '--input-type=module', '--eval', source]
  const child = shell
    ? spawn('bash', ['-c', `${shell}; exec "$0" "$@"`, process.execPath, ...command], { cwd, ...options })
    : spawn(process.execPath, command, { cwd, ...options })
  return new Promise((resolve, reject) => {
    let stdout = ''
    let stderr = ''
    let late = false
    child.stdout.setEncoding('utf8').on('data', text => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', text => (stderr += text))
    const timer = setTimeout(() => {
      late = true
      child.kill('SIGKILL')
    }, ms)
    child.on('error', reject)
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      resolve({ code, signal, stdout, stderr, late })
    })
  })
}
