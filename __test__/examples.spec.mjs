// The programs in examples/ do what they say, with unchanged Baileys on a server of our own.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as baileys from 'baileys'
import { openCask, useCaskAuthState } from 'baileys-cask'
import { startBot } from '../examples/bot.mjs'
import { startGateway } from '../examples/gateway/gateway.mjs'
import { serveMetrics } from '../examples/metrics.mjs'
import { makeRetries, whyFinal } from '../examples/reconnect.mjs'
import { startSealedBot } from '../examples/sealed.mjs'
import { bringBack, takeOut } from '../examples/there-and-back.mjs'
import { silent } from '../demo/conversation.mjs'
import { linkedCreds, ONE_OF_EACH } from './helpers/auth-folders.mjs'
import { contents } from './helpers/casks.mjs'
import { afterwards } from './helpers/cleanup.mjs'
import { logOf, tempFolder } from './helpers/folders.mjs'
import { until, within } from './helpers/gate.mjs'
import { PACKAGE } from './helpers/packed.mjs'
import { runProgram } from './helpers/script.mjs'
import { makeAccount, signIn } from './loopback/accounts.mjs'
import { startServer } from './loopback/server.mjs'
import { openSocket } from './loopback/sockets.mjs'

/** An account that was linked before, as pairing and a first connection leave it. */
async function link(cask, server, name, me) {
  const account = cask.account(name)
  // It has synchronised once: else a new socket waits for the phone to send old messages.
  const creds = { ...signIn(baileys.initAuthCreds(), me), accountSyncCounter: 1 }
  await account.saveCreds(creds)
  server.register({ jid: me.jid, lid: creds.me.lid, name: me.name })
}

test('the bot answers, comes back when the line breaks, and goes on when it is started again', async t => {
  const server = await startServer(t)
  const folder = join(tempFolder(t), 'auth')
  const me = { jid: '15550100009:1@s.whatsapp.net', name: 'Bot' }
  const cask = await openCask({ path: folder })
  await link(cask, server, 'default', me)
  await cask.close()
  const ada = await openSocket(t, { baileys, server, auth: makeAccount({ jid: '15550100001:1@s.whatsapp.net', name: 'Ada' }) })
  const start = () => startBot(folder, { waWebSocketUrl: server.url, logger: silent })
  const pongs = async count => within(20_000, `pong ${count}`, until(`pong ${count}`, () => ada.inbox.texts.filter(text => text === 'pong').length === count, 20_000))

  let bot = await start()
  await until('the bot has given its keys to the server', () => server.seen('encrypt upload', { from: '15550100009@s.whatsapp.net' }).length > 0, 20_000)
  afterwards(t, () => bot.end())
  await ada.send('15550100009@s.whatsapp.net', 'ping')
  await pongs(1)
  await server.disconnect(me.jid)
  await ada.send('15550100009@s.whatsapp.net', 'ping')
  await pongs(2)
  await bot.end()
  bot = await start()
  await ada.send('15550100009@s.whatsapp.net', 'ping')
  await pongs(3)
  assert.equal(server.retries(), 0)
})

test('the sealed bot: a plain store becomes sealed, its key is changed, and a wrong one is refused', async t => {
  const server = await startServer(t)
  const folder = tempFolder(t)
  const [plain, sealed, keyFile, newKeyFile] = ['plain', 'sealed', 'key', 'new-key'].map(name => join(folder, name))
  for (const file of [keyFile, newKeyFile]) writeFileSync(file, randomBytes(32))
  const me = { jid: '15550100009:1@s.whatsapp.net', name: 'Bot' }
  const cask = await openCask({ path: plain })
  await link(cask, server, 'default', me)
  await cask.close()
  const ada = await openSocket(t, { baileys, server, auth: makeAccount({ jid: '15550100001:1@s.whatsapp.net', name: 'Ada' }) })
  const options = { waWebSocketUrl: server.url, logger: silent }
  /** One bot after the other, each of which answers. */
  let pongs = 0
  const answers = async start => {
    const bot = await start()
    afterwards(t, () => bot.end())
    await until('the bot has given its keys to the server', () => server.seen('encrypt upload', { from: '15550100009@s.whatsapp.net' }).length > 0, 20_000)
    await ada.send('15550100009@s.whatsapp.net', 'ping')
    pongs++
    await until(`pong ${pongs}`, () => ada.inbox.texts.filter(text => text === 'pong').length === pongs, 20_000)
    await bot.end()
  }
  const command = async (args, variables) => {
    const { code, stdout, stderr } = await runProgram(process.execPath, [join(PACKAGE, 'examples/sealed.mjs'), ...args], { cwd: PACKAGE, env: { ...process.env, ...variables } })
    return { code, output: stdout + stderr }
  }
  const holds = (path, text) => readdirSync(path).some(name => readFileSync(join(path, name)).includes(text))
  const refused = async env => {
    const before = logOf(sealed)
    await assert.rejects(startSealedBot(sealed, env, options), { code: 'ERR_CASK_KEY' })
    assert.deepEqual(logOf(sealed), before)
  }

  await answers(() => startBot(plain, options))
  assert.deepEqual(await command(['seal', plain, sealed], { CASK_KEY_FILE: keyFile }), { code: 0, output: `1 accounts sealed; remove ${plain} and its backups\n` })
  assert.deepEqual([holds(plain, '15550100001'), holds(sealed, '15550100001')], [true, false])
  // The session of the plain store goes on.
  await answers(() => startSealedBot(sealed, { CASK_KEY_FILE: keyFile }, options))

  await refused({ CASK_KEY_FILE: newKeyFile })
  await refused({ CASK_KEY: 'a passphrase' })
  const wrong = await command(['run', sealed], { CASK_KEY_FILE: newKeyFile })
  assert.equal(wrong.code, 1)
  assert.match(wrong.output, /sealed with another encryptionKey/)
  assert.match((await command(['run', sealed], {})).output, /^no key: set CASK_KEY_FILE/)

  assert.equal((await command(['change-key', sealed], { CASK_KEY_FILE: keyFile, CASK_NEW_KEY_FILE: newKeyFile })).code, 0)
  await refused({ CASK_KEY_FILE: keyFile })
  await answers(() => startSealedBot(sealed, { CASK_KEY_FILE: newKeyFile }, options))
  assert.equal((await command(['change-key', sealed], { CASK_KEY_FILE: newKeyFile, CASK_NEW_KEY: 'a long passphrase' })).code, 0)
  rmSync(newKeyFile)
  await answers(() => startSealedBot(sealed, { CASK_KEY: 'a long passphrase' }, options))
  assert.equal(server.retries(), 0)
})

/** Most of the time goes into 812 pre-keys that each account makes; CASK_GATEWAY_ACCOUNTS=200 takes minutes, see examples/README.md. A multiple of four. */
const COUNT = Number(process.env.CASK_GATEWAY_ACCOUNTS ?? 8)
/** For all that accounts do at once. */
const PATIENCE_MS = 30_000 + COUNT * 2_000

test(`the gateway keeps ${COUNT} accounts in four threads, and loses none with a thread`, async t => {
  const server = await startServer(t, { distant: true })
  const folder = join(tempFolder(t), 'casks')
  const accounts = Array.from({ length: COUNT }, (_, n) => `shop-${n}`)
  const jidOf = n => `1555020${String(n).padStart(4, '0')}@s.whatsapp.net`
  const before = await openCask({ path: folder })
  for (const [n, name] of accounts.entries()) await link(before, server, name, { jid: jidOf(n).replace('@', ':1@'), name })
  await before.close()

  const seen = []
  const has = (what, account, text) => seen.some(event => event.what === what && event.account === account && (text === undefined || event.text === text))
  const began = process.hrtime.bigint()
  /** What it takes on this machine, the server and all who write included. */
  const report = what => t.diagnostic?.(`${what}: ${Number((process.hrtime.bigint() - began) / 1_000_000_000n)} s since the start, ${(process.cpuUsage().user / 1e6 + process.cpuUsage().system / 1e6).toFixed(0)} s of the processor, ${(process.memoryUsage.rss() / 2 ** 20).toFixed(0)} MiB resident`)
  report('before the first socket')
  const gateway = await startGateway({ folder, accounts, threads: 4, socketOptions: { waWebSocketUrl: server.url }, onEvent: event => seen.push(event) })
  afterwards(t, () => gateway.end())
  await until('all accounts are open', () => accounts.every(account => has('open', account)), PATIENCE_MS)
  assert.equal(gateway.threads().length, 4)
  report(`${COUNT} accounts open`)

  // Each writes to one of another thread.
  const round = async text => {
    for (const [n, account] of accounts.entries()) gateway.send(account, jidOf((n + 1) % COUNT), `${text} ${n}`)
    await until(`all messages of round ${text}`, () => accounts.every((_, n) => has('message', accounts[(n + 1) % COUNT], `${text} ${n}`)), PATIENCE_MS)
  }
  await round('first')
  report('each has written to another one')
  const opens = seen.filter(({ what }) => what === 'open').length
  await gateway.threads()[1].terminate()
  await until('its share is open again', () => seen.filter(({ what }) => what === 'open').length === opens + COUNT / 4, PATIENCE_MS)
  report('a thread was ended, and its share is open again')
  await round('second')
  assert.deepEqual(seen.filter(({ what }) => ['not sent', 'not started', 'creds not saved', 'thread failed', 'stopped'].includes(what)), [])
  assert.equal(seen.filter(({ what }) => what === 'thread restarts').length, 1)
  assert.equal(server.retries(), 0)
  await gateway.end()

  const after = await openCask({ path: folder })
  afterwards(t, () => after.close())
  assert.deepEqual((await after.accounts()).sort(), [...accounts].sort())
  for (const name of accounts) {
    const sessions = []
    for await (const id of after.account(name).keys.listIds('session')) sessions.push(id)
    assert.ok(sessions.length >= 2, `${name} has sessions with both neighbours`)
  }
})

test('in the gateway an account that cannot be started stops no other one', async t => {
  const server = await startServer(t)
  const folder = join(tempFolder(t), 'casks')
  const me = { jid: '15550100009:1@s.whatsapp.net', name: 'Bot' }
  const before = await openCask({ path: folder })
  await link(before, server, 'good', me)
  // Records and no creds.
  await before.account('bad').keys.set({ session: { '1.0': { n: 1 } } })
  await before.close()
  const seen = []
  const gateway = await startGateway({ folder, accounts: ['bad', 'good'], threads: 1, socketOptions: { waWebSocketUrl: server.url }, onEvent: event => seen.push(event) })
  afterwards(t, () => gateway.end())
  await until('the good one is open', () => seen.some(({ what, account }) => what === 'open' && account === 'good'), 30_000)
  gateway.send('bad', me.jid, 'nobody is there')
  await until('the answer', () => seen.some(({ what }) => what === 'not sent'), 30_000)
  assert.deepEqual(seen.map(({ what, account, code }) => [what, account, code]), [
    ['not started', 'bad', 'ERR_CASK_CREDS_MISSING'], ['open', 'good', undefined], ['not sent', 'bad', undefined],
  ])
})

test('what ends comes back at once, then after pauses that grow, and at once again when it has run for long', t => {
  const pauses = []
  let now = 1_000_000
  t.mock.method(performance, 'now', () => now)
  t.mock.method(globalThis, 'setTimeout', (start, ms) => {
    pauses.push(ms)
    start()
  })
  let runs = 0
  const retries = makeRetries(() => runs++)
  retries.start()
  for (let n = 0; n < 10; n++) retries.again()
  now += 20_000
  retries.again()
  const longest = [0, 500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 0]
  assert.equal(runs, 1 + longest.length)
  for (const [n, most] of longest.entries()) assert.ok(pauses[n] >= most / 2 && pauses[n] <= most, `${n}: ${pauses[n]} ms, not ${most / 2} to ${most}`)
  const closed = statusCode => ({ error: { output: { statusCode } } })
  assert.deepEqual([428, 515, 408].map(code => whyFinal(closed(code))), [undefined, undefined, undefined])
  for (const code of [401, 403, 440]) assert.equal(typeof whyFinal(closed(code)), 'string')
})

test('an account goes out to a folder of Baileys and comes back with what was changed there', async t => {
  const folder = tempFolder(t)
  const path = join(folder, 'cask')
  const out = join(folder, 'auth_info_baileys')
  const cask = await openCask({ path })
  const creds = linkedCreds()
  await cask.account('shop').saveCreds(creds)
  await cask.account('shop').keys.set({ ...ONE_OF_EACH, session: { '1.0': { n: 1 }, '2.0': { n: 2 } } })
  const { shop: original } = await contents(cask)
  await cask.close()

  const { records } = await takeOut(path, 'shop', out)
  assert.equal(records.session, 2)
  const multiFile = await baileys.useMultiFileAuthState(out)
  await multiFile.state.keys.set({ session: { '1.0': { n: 10 }, '2.0': null, '3.0': { n: 3 } } })
  multiFile.state.creds.nextPreKeyId = 77
  await multiFile.saveCreds()

  // As a command.
  const { code, stdout, stderr } = await runProgram(process.execPath, [join(PACKAGE, 'examples/there-and-back.mjs'), 'back', path, 'shop', out], { cwd: PACKAGE })
  assert.equal(code, 0, stderr)
  assert.match(stdout, /^\d+ records moved$/m)
  const back = await openCask({ path })
  afterwards(t, () => back.close())
  const found = await contents(back)
  assert.deepEqual(Object.keys(found), ['shop'])
  assert.equal(found.shop.creds.nextPreKeyId, 77)
  assert.deepEqual(found.shop.records, { ...original.records, session: [['1.0', { n: 10 }], ['3.0', { n: 3 }]] })
})

test('a folder that is not whole does not take the place of what the cask has', async t => {
  const folder = tempFolder(t)
  const path = join(folder, 'cask')
  const out = join(folder, 'auth_info_baileys')
  const { state, close } = await useCaskAuthState(path, { account: 'shop' })
  await state.keys.set({ session: { '1.0': { n: 1 } } })
  await close()
  await takeOut(path, 'shop', out)
  writeFileSync(join(out, 'session-1.0.json'), '{"n":')
  await assert.rejects(bringBack(path, 'shop', out), /session-1\.0\.json is torn/)
  const left = await openCask({ path })
  afterwards(t, () => left.close())
  assert.deepEqual(await left.account('shop').keys.get('session', ['1.0']), { '1.0': { n: 1 } })
})

test('what a cask does is served to Prometheus until it is closed', async t => {
  const cask = await openCask({ path: join(tempFolder(t), 'cask') })
  await cask.account('shop').keys.set({ session: { 1: 'x' } })
  const metrics = await serveMetrics(cask, { labels: { cask: 'shops' } })
  afterwards(t, () => metrics.close())
  const get = path => fetch(`http://127.0.0.1:${metrics.port}${path}`)
  const all = await get('/metrics')
  assert.deepEqual([all.status, all.headers.get('content-type')], [200, 'text/plain; version=0.0.4; charset=utf-8'])
  assert.match(await all.text(), /^baileys_cask_account_records\{cask="shops",account="shop",family="session"\} 1$/m)
  assert.doesNotMatch(await (await get('/metrics?accounts=no')).text(), /account/)
  assert.equal((await get('/')).status, 404)
  await cask.close()
  const closed = await get('/metrics')
  assert.deepEqual([closed.status, (await closed.text()).split(':')[0]], [503, 'ERR_CASK_CLOSED'])
})

test('the program that serves metrics ends when it is told to', async t => {
  const path = join(tempFolder(t), 'cask')
  await (await openCask({ path })).close()
  const program = spawn(process.execPath, [join(PACKAGE, 'examples/metrics.mjs'), path, '0'], { cwd: PACKAGE, stdio: ['ignore', 'pipe', 'inherit'] })
  afterwards(t, async () => void program.kill('SIGKILL'))
  const [line] = await within(20_000, 'it serves', once(program.stdout.setEncoding('utf8'), 'data'))
  assert.match(await (await fetch(line.trim(), { headers: { connection: 'close' } })).text(), /^baileys_cask_locks\{/m)
  const ended = once(program, 'exit')
  program.kill('SIGTERM')
  assert.deepEqual(await within(20_000, 'it ends', ended), [0, null])
})
