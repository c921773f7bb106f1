/**
 * The demo: two Baileys accounts hold a conversation on one cask while their process is killed again and again; then the same on
 * `useMultiFileAuthState`; then both for speed. Ends with a table. Exits non-zero where the cask loses anything, or anything fails.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PEOPLE, peerOf } from './conversation.mjs'
import { diskUse } from './folder.mjs'
import { killAll, Phone } from './phone.mjs'
import { wholeStory } from './script.mjs'
import { median, middleHalf } from './speed.mjs'
import { tell } from './story.mjs'
import { Terminal } from './terminal.mjs'

const MESSAGES = 400
const KILLS_AFTER = [100, 150, 200, 250, 300, 350]
const LONGEST_DELAY_MS = 120
const ROUNDS = 12
const RACE_MS = 20_000
const SHOWN_AT_THE_START = 5
const SHOWN_AFTER_A_KILL = 4

const CASK = 'cask'
const FOLDER = 'multi-file'
const LABELS = {
  [CASK]: 'baileys-cask',
  [FOLDER]: 'useMultiFileAuthState',
  'multi-file cached': "the same behind Baileys' cache",
  map: 'nothing (a Map in memory)',
}

const ui = new Terminal()

// ---- words --------------------------------------------------------------------------------------------------
const number = value => Math.round(value).toLocaleString('en-US')
const count = (value, one, many = `${one}s`) => `${number(value)} ${value === 1 ? one : many}`
const size = bytes => (bytes < 1024 * 1024 ? `${number(bytes / 1024)} KB` : `${(bytes / 1024 / 1024).toFixed(1)} MB`)
const zero = (value, text = number(value)) => ui.paint(value === 0 ? 'green' : 'red', text)

function chatLine({ from, toGroup, text }) {
  const colour = from === 'ada' ? 'cyan' : 'magenta'
  const to = toGroup ? 'Hike (group)' : PEOPLE[peerOf(from)].name
  return `${ui.paint(colour, PEOPLE[from].name)} ${ui.paint('dim', `${ui.arrow} ${to.padEnd(12)}`)}  ${text}`
}

// ---- what a kill did ----------------------------------------------------------------------------------------
const intact = ({ wrong, torn, unknown, lost }) => wrong.length + torn.length + unknown.length + (lost ?? 0) === 0

function tellKill({ at, inTheAir, underWay }) {
  const air = `${count(inTheAir, 'ciphertext')} in the air, ${count(underWay, 'call')} under way`
  ui.line(`  ${ui.paint('red', 'SIGKILL')}  after ${count(at, 'message')}: ${air}`)
}

function tellFaults({ wrong, torn, unknown, lost, emptyFiles }) {
  for (const { account, family, id, fault } of wrong) ui.bad(`${PEOPLE[account].name}'s ${family} ${id} ${fault}`)
  if (wrong.length && emptyFiles) ui.line(`    ${count(emptyFiles, 'file')} had been emptied, and not yet written again`)
  for (const { arrived, of } of torn) ui.bad(`half a write is there: ${arrived} of ${of} records`)
  for (const { account, family, id } of unknown) ui.bad(`${PEOPLE[account].name}'s ${family} ${id} is there, and nobody wrote it`)
  if (lost) ui.bad(`${count(lost, 'message')} could not be decrypted; sent again with a new session`)
}

function tellRecoveryAtLength(kill) {
  const cut = kill.cutBytes ? `, ${count(kill.cutBytes, 'byte')} of an unfinished write cut off` : ''
  ui.good(`opened again in ${kill.openedMs.toFixed(0)} ms${cut}`)
  if (kill.wrong.length === 0) ui.good(`${count(kill.present, 'record')} there, each as last acknowledged; creds identical`)
  if (kill.landed + kill.vanished > 0 && kill.torn.length === 0) {
    ui.good(`writes under way at the kill: ${number(kill.landed)} there as a whole, ${number(kill.vanished)} not at all`)
  }
  if (kill.readLate > 0) ui.good(`${count(kill.readLate, 'ciphertext')} from before the kill decrypted, such as:`)
  for (const message of kill.lateMessages.slice(0, SHOWN_AFTER_A_KILL)) ui.line(`      ${chatLine(message)}`)
  if (kill.refused > 0) ui.good(`${count(kill.refused, 'message')} refused: read just before the kill, and a key works only once`)
  if (kill.skipped > 0) ui.good(`${count(kill.skipped, 'message number')} skipped: encrypted and stored, never sent`)
  tellFaults(kill)
}

function tellRecoveryInBrief(kill) {
  if (!intact(kill)) return tellFaults(kill)
  const refused = kill.refused ? `, ${number(kill.refused)} already read` : ''
  const late = `${number(kill.readLate)} of ${number(kill.inTheAir)} in the air decrypted${refused}`
  ui.good(`${count(kill.present, 'record')} as acknowledged, ${late}`)
}

// ---- acts ---------------------------------------------------------------------------------------------------
/** The conversation with its kills on one store, told as it goes. */
async function conversation(kind, folder, delays) {
  const kills = KILLS_AFTER.map((after, index) => ({ after, delayMs: delays[index] }))
  let told = 0
  const watch = {
    read(message, done, total) {
      if (kind === CASK && done <= SHOWN_AT_THE_START) ui.line(`    ${chatLine(message)}`)
      ui.progress(done, total, chatLine(message))
    },
    killed(kill) {
      if (kind === CASK && told === 0) ui.line()
      tellKill(kill)
    },
    recovered(kill) {
      const atLength = kind === CASK && told === 0
      if (atLength) tellRecoveryAtLength(kill)
      else tellRecoveryInBrief(kill)
      if (atLength) ui.line()
      told++
    },
  }
  const result = await tell({ kind, folder, turns: wholeStory(MESSAGES), kills, watch })
  const alive = result.ended ? ui.paint('red', `it ended early: ${result.ended}`) : 'the conversation went on to its end'
  const refused = result.refused ? ` (and ${number(result.refused)} just before a kill)` : ''
  const used = `${count(result.preKeysUsed, 'pre-key')} used up, ${count(result.kills.length, 'kill')}`
  ui.line()
  ui.line(`  ${count(result.read, 'message')} decrypted and compared${refused}, ${used};`)
  if (result.lost.length) ui.line(`  ${count(result.lost.length, 'message')} had to be sent again with a new session or sender key;`)
  if (result.unreadable) ui.line(`  ${count(result.unreadable, 'message')} could not be read at all;`)
  ui.line(`  ${alive}`)
  return { ...result, disk: diskUse(folder) }
}

function sideBySide(results, rates) {
  const rate = (kind, talk) => median(rates[kind][talk])
  // Round by round, since both sides of one round saw the same load of the machine.
  const share = kind => median(rates[kind].private.map((value, round) => 1 - value / rates.map.private[round]))
  const percent = value => (value < 0.01 ? 'under 1%' : `${(100 * value).toFixed(0)}%`)
  const each = cell => [CASK, FOLDER].map(kind => cell(results[kind], kind))
  const sum = (kills, of) => kills.reduce((total, kill) => total + of(kill), 0)
  ui.table([LABELS[CASK], LABELS[FOLDER]], [
    ['private messages per second', ...each((_, kind) => ui.paint('bold', number(rate(kind, 'private'))))],
    ["  the store's part of that time", ...each((_, kind) => percent(share(kind)))],
    ['group messages per second', ...each((_, kind) => number(rate(kind, 'group')))],
    ['processes killed', ...each(({ kills }) => number(kills.length))],
    ['  acknowledged keys lost or changed', ...each(({ kills }) => zero(sum(kills, ({ wrong }) => wrong.length)))],
    ['  writes left half done', ...each(({ kills }) => zero(sum(kills, ({ torn }) => torn.length)))],
    ['  messages that needed a new session', ...each(({ lost, ended }) => (ended ? ui.paint('red', ended) : zero(lost.length)))],
    ['  slowest time to open again', ...each(({ kills }) => `${Math.max(...kills.map(({ openedMs }) => openedMs)).toFixed(0)} ms`)],
    [`files on disk after ${number(MESSAGES)} messages`, ...each(({ disk }) => number(disk.files))],
    ['  bytes in them', ...each(({ disk }) => size(disk.bytes))],
    ['  space they take up', ...each(({ disk }) => (Number.isNaN(disk.space) ? '-' : size(disk.space)))],
  ])
}

/** Throws unless the conversation came through as it must. */
function assertUnharmed({ kills, lost, ended, read, refused }) {
  if (ended) throw new Error(`the conversation on the cask ended early: ${ended}`)
  if (!kills.every(intact)) throw new Error('the cask did not come through every kill as it must; see above')
  if (lost.length) throw new Error(`message ${lost[0].id} could not be read: ${lost[0].reason}`)
  if (kills.length < KILLS_AFTER.length) throw new Error(`only ${kills.length} of ${KILLS_AFTER.length} kills took place`)
  if (read + refused !== MESSAGES) throw new Error(`${read} of ${MESSAGES} messages were read`)
}

async function assertBuilt() {
  try {
    await import('baileys-cask')
  } catch (error) {
    const why = error.message.split('\n')[0]
    throw new Error(`baileys-cask is not built yet: ${why}\n  Run "npm ci && npm run build" in the checkout first.`)
  }
}

async function play(folder) {
  const delays = KILLS_AFTER.map(() => Math.random() * LONGEST_DELAY_MS)
  const results = {}

  ui.section('1  Two accounts, one cask, and a process that dies',
    'Real key bundles, real libsignal sessions, 1:1 and in a group. The parent process',
    'is the network, and kills the other one at moments that nobody chose.')
  results[CASK] = await conversation(CASK, join(folder, CASK), delays)
  assertUnharmed(results[CASK])

  ui.section('2  The same on useMultiFileAuthState', 'The same messages, killed after the same messages and delays.')
  results[FOLDER] = await conversation(FOLDER, join(folder, FOLDER), delays)

  ui.section('3  How fast they talk', 'No kills; all stores in one process, taking turns every few messages. Medians.')
  const kinds = Object.keys(LABELS)
  const runner = new Phone(({ progress }) => ui.progress(progress.done, progress.total, ui.paint('dim', LABELS[progress.kind])))
  const rates = await runner.call('race', { kinds, folder: join(folder, 'race'), rounds: ROUNDS, budgetMs: RACE_MS })
  await runner.end()
  const spread = values => ui.paint('dim', `(${middleHalf(values).map(number).join(' to ')})`)
  ui.bars(kinds.map(kind => {
    const values = rates[kind].private
    const text = `${number(median(values))}/s ${spread(values)}`
    return { label: LABELS[kind], value: median(values), text, colour: kind === CASK ? 'green' : 'yellow' }
  }))
  ui.line()
  ui.line(ui.paint('dim', '  Private messages per second; in brackets, where half of the rounds lie.'))
  ui.line(ui.paint('dim', '  The last line is what cryptography alone allows.'))

  ui.section('4  Side by side', 'Kills and disk: from parts 1 and 2, with 812 pre-keys and more for each account.',
    "The store's part: by how much a message takes longer than cryptography alone.")
  sideBySide(results, rates)
}

async function main() {
  const started = performance.now()
  let folder
  const tidyUp = () => {
    killAll()
    if (folder) rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
    ui.close()
  }
  for (const [signal, code] of [['SIGINT', 130], ['SIGTERM', 143], ['SIGHUP', 129]]) {
    process.once(signal, () => {
      tidyUp()
      process.exit(code)
    })
  }
  try {
    await assertBuilt()
    folder = mkdtempSync(join(tmpdir(), 'baileys-cask-demo-'))
    await play(folder)
    ui.line()
    ui.good(`${ui.paint('bold', 'The cask lost nothing.')} ${((performance.now() - started) / 1000).toFixed(0)} s`)
  } catch (error) {
    ui.line()
    ui.bad(ui.paint('red', error.message))
    process.exitCode = 1
  } finally {
    tidyUp()
  }
}

await main()
