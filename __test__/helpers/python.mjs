// A Python of the project's own, for tests that check the package against a program in another language.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '../..')
const isWindows = process.platform === 'win32'
const command = isWindows ? 'python' : 'python3'

function run(program, ...args) {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8' })
  return { failed: status === 0 ? undefined : error?.message ?? stderr.trim().split('\n').at(-1), stdout }
}

/**
 * The path of a Python that has the packages of a requirements file; they are installed once, into `.python` in the project. Where that
 * cannot be, `missing` says why.
 */
export function pythonWith(requirements) {
  const { failed, stdout } = run(command, '-c', 'import ensurepip, platform, sys, venv; assert sys.version_info >= (3, 9); print(platform.python_version())')
  if (failed !== undefined) return { missing: `there is no ${command} from 3.9 on with venv and pip (${failed})` }
  const of = createHash('sha256').update(stdout).update(readFileSync(requirements)).digest('hex').slice(0, 16)
  const folder = join(root, '.python', of)
  const python = join(folder, isWindows ? 'Scripts/python.exe' : 'bin/python')
  const ready = join(folder, 'ready')
  if (existsSync(ready)) return { python }
  rmSync(folder, { recursive: true, force: true })
  const steps = [
    [command, '-m', 'venv', folder],
    [python, '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--only-binary=:all:', '--requirement', requirements],
  ]
  for (const step of steps) {
    const { failed } = run(...step)
    if (failed !== undefined) return { missing: `${step.slice(1, 4).join(' ')} failed: ${failed}` }
  }
  writeFileSync(ready, '')
  return { python }
}
