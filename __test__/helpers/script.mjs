import { spawn } from 'node:child_process'

/** Runs a program and waits for its end. Gives its exit code, signal and output; kills it after `ms`. */
export function runProgram(command, args, { ms = 20_000, ...options } = {}) {
  const child = spawn(command, args, options)
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

/** The same with a piece of ESM source, in the folder of this package. */
export function runScript(source, { cwd = new URL('../..', import.meta.url), shell, nodeArguments = [], ...options } = {}) {
  const command = [...nodeArguments, '--input-type=module', '--eval', source]
  return shell
    ? runProgram('bash', ['-c', `${shell}; exec "$0" "$@"`, process.execPath, ...command], { cwd, ...options })
    : runProgram(process.execPath, command, { cwd, ...options })
}
