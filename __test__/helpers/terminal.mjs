// Real terminals for the command line: tmux where it is installed, else `script` of util-linux, which gives a pseudo-terminal and leaves it to
// us to read what is written there. Both are run where both are there.
import { execFile, spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterwards } from './cleanup.mjs'
import { BIN, environment } from './cli.mjs'
import { tempFolder } from './folders.mjs'
import { until, within } from './gate.mjs'

const run = promisify(execFile)
const PATIENCE_MS = 30_000
const KEYS = { 'C-c': '\u0003', 'C-d': '\u0004', Enter: '\r', BSpace: '\u007f' }

const works = (command, args, output) => {
  const { status, stdout } = spawnSync(command, args, { encoding: 'utf8' })
  return status === 0 && output.test(stdout)
}

/** Names of the terminals that there are here. */
export const TERMINALS = [
  ...(works('tmux', ['-V'], /tmux/) ? ['tmux'] : []),
  ...(works('script', ['--version'], /util-linux/) ? ['script'] : []),
]
/** What tests in a terminal are skipped for, if they are. */
export const NO_TERMINAL = TERMINALS.length === 0 && 'neither tmux nor script of util-linux is here: nothing was seen in a terminal'

const quoted = word => `'${word.replaceAll("'", "'\\''")}'`

/**
 * Starts the command line in a terminal of so many columns. Gives `screen`, the lines that are there; `seen`, which waits for something to be
 * there; `type` and `press`; and `ended`, its exit code.
 */
export async function inTerminal(t, kind, args, { columns = 80, rows = 24, env, redirect = '' } = {}) {
  const folder = tempFolder(t)
  const place = name => join(folder, name)
  // What follows says that it has ended, and how, after all that it has written.
  // The shell itself is not to be ended by Ctrl-C.
  writeFileSync(place('run.sh'), `trap : INT\n${[process.execPath, BIN, ...args].map(quoted).join(' ')} ${redirect}\necho $? > ${quoted(place('code.tmp'))}\nmv ${quoted(place('code.tmp'))} ${quoted(place('code'))}\n`)
  const terminal = await TERMINAL[kind](t, { columns, rows, env: environment(env), script: place('run.sh'), folder })
  const screen = options => terminal.screen(options)
  return {
    ...terminal,
    screen,
    seen: async pattern => {
      const last = { text: '' }
      return until(`${pattern} on the screen, which shows:`, async () => pattern.test(last.text = await screen()), PATIENCE_MS).catch(error => {
        throw new Error(`${error.message}\n${last.text}`)
      }).then(() => last.text)
    },
    ended: async () => {
      await until('the end of the command', () => existsSync(place('code')), PATIENCE_MS)
      // What it has written may still be on its way.
      await terminal.emptied()
      return Number(readFileSync(place('code'), 'utf8'))
    },
  }
}

const TERMINAL = {
  tmux: async (t, { columns, rows, env, script, folder }) => {
    const socket = join(folder, 'tmux')
    const config = join(folder, 'tmux.conf')
    writeFileSync(config, 'set -g status off\nset -g remain-on-exit on\nset -g default-terminal tmux-256color\nset -g history-limit 10000\n')
    const tmux = async (...args) => (await run('tmux', ['-S', socket, '-f', config, ...args], { env: { ...env, LC_ALL: 'C.UTF-8' } })).stdout
    // TERM is what tmux says; the rest of the environment is that of its server, which begins here.
    await tmux('new-session', '-d', '-s', 'cask', '-x', String(columns), '-y', String(rows), `sh ${quoted(script)}`)
    afterwards(t, () => tmux('kill-server').catch(() => {}))
    return {
      screen: ({ joined = false, colors = false } = {}) => tmux('capture-pane', '-p', '-t', 'cask', '-S', '-', ...(joined ? ['-J'] : []), ...(colors ? ['-e'] : [])).then(text => text.replace(/ +$/gm, '').replace(/(\nPane is dead.*)?\n*$/, '\n')),
      emptied: () => until('the end of the pane', async () => (await tmux('display-message', '-p', '-t', 'cask', '#{pane_dead}')).trim() === '1'),
      type: text => tmux('send-keys', '-t', 'cask', '-l', text),
      press: key => tmux('send-keys', '-t', 'cask', key),
    }
  },

  script: async (t, { columns, rows, env, script }) => {
    const child = spawn('script', ['-qfec', `stty cols ${columns} rows ${rows}; exec sh ${quoted(script)}`, '/dev/null'], { env: { ...env, SHELL: '/bin/sh' }, stdio: ['pipe', 'pipe', 'ignore'] })
    let written = ''
    child.stdout.setEncoding('utf8').on('data', text => (written += text))
    const closed = new Promise(resolve => child.on('close', resolve))
    afterwards(t, async () => {
      child.kill('SIGKILL')
      await within(10_000, 'the end of script', closed)
    })
    const send = text => new Promise(resolve => child.stdin.write(text, resolve))
    return {
      screen: async ({ colors = false } = {}) => (colors ? written : shown(written)),
      emptied: () => within(10_000, 'the end of script', closed),
      type: send,
      press: key => send(KEYS[key]),
    }
  },
}

/** What is on a screen when this was written to it: lines, and cleared ones. Colours are left out; anything else fails, for nothing else is written. */
function shown(written) {
  const lines = ['']
  let column = 0
  for (const [part] of written.matchAll(/\r|\n|\x1b\[K|\x1b\[[\d;]*m|[^\x00-\x1f]+|[^]/g)) {
    const line = lines.at(-1)
    if (part === '\r') column = 0
    else if (part === '\n') column = lines.push('') && 0
    else if (part === '\x1b[K') lines[lines.length - 1] = line.slice(0, column)
    else if (/^[^\x00-\x1f]/.test(part)) {
      lines[lines.length - 1] = line.slice(0, column) + part + line.slice(column + part.length)
      column += part.length
    } else if (!part.startsWith('\x1b[')) throw new Error(`${JSON.stringify(part)} was written to the terminal`)
  }
  return `${lines.map(line => line.trimEnd()).join('\n').trimEnd()}\n`
}
