// Runs worker threads that use the addon under valgrind, and counts what it finds in the addon: errors, and memory that is lost.
// 64-bit Linux with cargo and valgrind; minutes.
//
//   node scripts/valgrind.mjs
//
// Node has findings of its own, with and without the addon: those count where a function of the addon is on the stack. How many
// there are of the others is told, with the addon and without it.
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const MAIN = join(ROOT, 'scripts/valgrind/main.mjs')
const ADDON = 'baileys-cask-valgrind.node'

function run(command, args, env = {}) {
  const { status, error } = spawnSync(command, args, { cwd: ROOT, stdio: 'inherit', env: { ...process.env, ...env } })
  if (error) throw error
  if (status !== 0) throw new Error(`${command} ended with ${status}`)
}

/** What valgrind says of a run, as its findings' text in XML. */
function findings(folder, mode) {
  const report = join(folder, `${mode}.xml`)
  const done = join(folder, `${mode}.done`)
  const valgrind = [
    '--tool=memcheck', '--smc-check=all-non-file', '--error-limit=no', '--num-callers=40', '--fair-sched=yes',
    '--leak-check=full', '--show-leak-kinds=definite', '--errors-for-leak-kinds=definite', '--xml=yes', `--xml-file=${report}`,
  ]
  // Without its compilers Node makes no code at run time, which valgrind would have to look for at every step.
  const node = [process.execPath, '--jitless', '--no-warnings', MAIN, mode, done]
  run('valgrind', [...valgrind, ...node], { NAPI_RS_NATIVE_LIBRARY_PATH: join(folder, ADDON) })
  const text = readFileSync(report, 'utf8')
  if (!text.includes('<state>FINISHED</state>')) throw new Error('valgrind did not come to its end')
  if (!existsSync(done)) throw new Error('what valgrind ran did not come to its end')
  return text.match(/<error>.*?<\/error>/gs) ?? []
}

/** A finding as a few lines. */
function shown(finding) {
  const parts = (name, text) => [...text.matchAll(new RegExp(`<${name}>(.*?)</${name}>`, 'gs'))].map(([, part]) => part)
  const [kind] = parts('kind', finding)
  const frames = parts('frame', finding).map(frame => `  ${parts('fn', frame)[0] ?? '?'} (${parts('file', frame)[0] ?? parts('obj', frame)[0]}:${parts('line', frame)[0] ?? '?'})`)
  return [kind, ...frames].join('\n')
}

const folder = mkdtempSync(join(tmpdir(), 'cask-valgrind-'))
try {
  // With names of functions, which the addon that is shipped does not have.
  run('cargo', ['build', '--lib', '--target-dir', 'target'])
  copyFileSync(join(ROOT, 'target/debug/libbaileys_cask.so'), join(folder, ADDON))
  const alone = findings(folder, 'plain')
  const all = findings(folder, 'addon')
  const ours = all.filter(finding => finding.includes(ADDON))
  console.log(`without the addon: ${alone.length} findings; with it: ${all.length}, ${ours.length} of them in the addon`)
  ours.forEach(finding => console.log(`\n${shown(finding)}`))
  process.exitCode = ours.length > 0 ? 1 : 0
} finally {
  rmSync(folder, { recursive: true })
}
