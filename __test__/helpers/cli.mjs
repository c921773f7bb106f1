import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { afterwards } from './cleanup.mjs'
import { until } from './gate.mjs'
import { runProgram } from './script.mjs'

export const BIN = fileURLToPath(new URL('../../bin/baileys-cask.js', import.meta.url))
const GATE = fileURLToPath(new URL('./cli-gate.cjs', import.meta.url))
const PRELOAD = globalThis.Bun ? { BUN_OPTIONS: `--preload=${GATE}` } : { NODE_OPTIONS: `--require=${GATE}` }

// What a program needs of the environment to start. Anything else may change what it writes: `CI` alone takes the colours from a terminal.
const NEEDED = ['PATH', 'HOME', 'TMPDIR', 'LANG', 'LD_LIBRARY_PATH', 'SystemRoot']

/** The environment of a command: the same wherever the tests run. */
export function environment(env = {}) {
  const needed = NEEDED.flatMap(name => (name in process.env ? [[name, process.env[name]]] : []))
  return { ...Object.fromEntries(needed), TERM: 'xterm-256color', ...env }
}

/** Runs the command line without a terminal. Gives exit code, output, and the document where `--json` is among the arguments. */
export async function cli(args, { env, ...options } = {}) {
  const ended = await runProgram(process.execPath, [BIN, ...args], { env: environment(env), stdio: ['ignore', 'pipe', 'pipe'], ...options })
  return args.includes('--json') ? { ...ended, json: JSON.parse(ended.stdout) } : ended
}

/**
 * What makes a command stand still at a place until it is let go: `file` is the beginning of the name of a file that it opens, `binding`
 * the name of a call into the core. `env` is for the command; `reached` resolves when it stands there. With `raise` it gets that signal
 * there instead; with `holds` it hears of nothing but the signal from then on.
 */
export function standstill(t, { file, binding, raise, holds = false, at = 1 }) {
  const folder = mkdtempSync(join(tmpdir(), 'cask-gate-'))
  afterwards(t, () => {
    rmSync(folder, { recursive: true, force: true })
  })
  const place = name => join(folder, name)
  return {
    env: { ...PRELOAD, CASK_GATE: JSON.stringify({ folder, file, binding, raise, holds, at }) },
    reached: () => until(`the command stands at ${file ?? binding}`, () => existsSync(place('reached')), 20_000),
    /** Process number of the command, once it was reached. */
    pid: () => Number(readFileSync(place('reached'), 'utf8')),
    wasReached: () => existsSync(place('reached')),
    /** Resolves when the command has heard of a signal: it may be let go then, and cannot be there first. */
    heard: () => until('the command has heard of a signal', () => existsSync(place('heard')), 20_000),
    open: () => writeFileSync(place('open'), ''),
  }
}

/** Starts the command line without a terminal, so that it can be sent signals. */
export function startCli(t, args, { env } = {}) {
  const child = spawn(process.execPath, [BIN, ...args], { env: environment(env), stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = new Promise(resolve => {
    let [stdout, stderr] = ['', '']
    child.stdout.setEncoding('utf8').on('data', text => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', text => (stderr += text))
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }))
  })
  afterwards(t, () => child.kill('SIGKILL'))
  return { send: signal => child.kill(signal), ended }
}
