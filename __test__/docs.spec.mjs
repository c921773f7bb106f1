// Code blocks of all pages run, and links lead somewhere.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import http from 'node:http'
import { createRequire } from 'node:module'
import { dirname, join, normalize } from 'node:path'
import * as baileys from 'baileys'
import * as cask from 'baileys-cask'
import { linkedCreds } from './helpers/auth-folders.mjs'
import { contents, open } from './helpers/casks.mjs'
import { afterwards } from './helpers/cleanup.mjs'
import { newPath } from './helpers/folders.mjs'
import { until, within } from './helpers/gate.mjs'
import { PACKAGE } from './helpers/packed.mjs'
import { blocksOf, inNewFolder, PAGES, run, textOf } from './helpers/pages.mjs'
import { makeAccount, signIn } from './loopback/accounts.mjs'
import { startServer } from './loopback/server.mjs'
import { openSocket } from './loopback/sockets.mjs'
import { silent } from '../demo/conversation.mjs'

const require = createRequire(import.meta.url)
const manifest = require('../package.json')
const { COMMANDS } = require('../bin/commands/index.js')

/** Pages with examples that need much around them have tests of their own, which run every block. */
const TESTED_ALONE = { 'docs/cli.md': 'cli-doc.spec.mjs', 'docs/migrate.md': 'migrate-doc.spec.mjs', 'docs/transactions.md': 'transactions-doc.spec.mjs' }
/** Languages that only the pages with tests of their own have. */
const SHOWN_ALONE = { 'docs/cli.md': ['json', 'text'] }

/** A socket as a page makes it, on a server of our own. */
async function socketOn(t, server, me, seen) {
  const makeWASocket = config => {
    signIn(config.auth.creds, me)
    server.register({ jid: me.jid, lid: config.auth.creds.me.lid, name: me.name })
    const sock = baileys.makeWASocket({ ...config, waWebSocketUrl: server.url, shouldSyncHistoryMessage: () => false })
    seen.config = config
    seen.opened = new Promise(resolve => sock.ev.on('connection.update', ({ connection }) => connection === 'open' && resolve()))
    afterwards(t, async () => sock.end(undefined))
    return sock
  }
  return { ...baileys, default: makeWASocket, makeWASocket }
}

/** How each block is run, by page and number; a block without one fails. */
const EXAMPLES = {
  'README.md': [
    async (t, { code }) => {
      inNewFolder(t)
      const server = await startServer(t)
      const seen = {}
      const modules = { baileys: await socketOn(t, server, { jid: '15550100009:1@s.whatsapp.net', name: 'Bot' }, seen), 'baileys-cask': cask }
      const { sock, state } = await run(code, { logger: silent }, modules, ['sock', 'state'])
      await within(10_000, 'the connection opens', seen.opened)
      const ada = await openSocket(t, { baileys, server, auth: makeAccount({ jid: '15550100001:1@s.whatsapp.net', name: 'Ada' }) })
      await sock.sendMessage(ada.jid, { text: 'from the page' })
      await ada.inbox.holds('from the page')
      const stored = await cask.openCask({ path: './auth' })
      afterwards(t, () => stored.close())
      await until('the creds are saved', async () => (await stored.account().loadCreds()).me?.name === 'Bot')
      assert.ok((await cask.useCaskAuthState('./auth')).state === state, 'the same folder gives the same state')
    },
    async (t, { code }) => {
      inNewFolder(t)
      const { lid } = await run(code, {}, { 'baileys-cask': cask }, ['lid'])
      assert.equal(lid, '8812')
      const again = await open(t, { path: './auth', durability: 'power' })
      assert.deepEqual((await contents(again))['shop-17'].records, { 'lid-mapping': [['4917000', '88121']] })
    },
  ],
  'docs/backup.md': [
    async (t, { code }) => {
      const original = await open(t, { path: newPath(t) })
      await original.account().keys.set({ 'lid-mapping': { a: 'b' } })
      const target = newPath(t, 'backup')
      await run(code, { cask: { backup: path => original.backup(path.replace(/^\/backups\/[\d-]+$/, target)) } })
      assert.deepEqual(await contents(await open(t, { path: target })), await contents(original))
    },
    async (t, { code }) => {
      const [original, running] = [await open(t, { path: newPath(t) }), await open(t, { path: newPath(t, 'running') })]
      for (const name of ['shop-17', 'shop-18']) {
        await original.account(name).saveCreds(linkedCreds())
        await original.account(name).keys.set({ session: { a: { of: 'the backup' } } })
      }
      const target = newPath(t, 'backup')
      await original.backup(target)
      for (const name of ['shop-17', 'shop-18']) await running.account(name).keys.set({ session: { a: { of: 'today' } } })
      const openCask = options => cask.openCask({ ...options, path: target })
      const { complete } = await run(code, { cask: running, openCask, importKeys: cask.importKeys }, {}, ['complete'])
      assert.equal(complete, true)
      const { 'shop-17': restored, 'shop-18': other } = await contents(running)
      assert.deepEqual([restored.creds.me, restored.records.session, other.records.session], [linkedCreds().me, [['a', { of: 'the backup' }]], [['a', { of: 'today' }]]])
    },
    async (t, { code }) => {
      const restored = await open(t)
      for (const name of ['a', 'b']) await restored.account(name).keys.set({ session: { 1: {}, 2: {} }, 'sender-key': { g: {} }, 'sender-key-memory': { g: {} }, 'lid-mapping': { stays: 'x' } })
      await run(code, { cask: restored })
      const left = { creds: undefined, records: { 'lid-mapping': [['stays', 'x']] } }
      assert.deepEqual(await contents(restored), { a: left, b: left })
    },
  ],
  'docs/monitoring.md': [
    async (t, { code }) => {
      inNewFolder(t)
      const lines = []
      await run(code, { console: { log: line => lines.push(line) } }, { 'baileys-cask': cask })
      assert.match(lines[0], /^0 records, 0 of them sessions$/)
      assert.match(lines[1], /^0 of 0 reads went to the disk$/)
      assert.match(lines[2], /^0 batches in 0\.0 ms, \d+ bytes to be compacted$/)
    },
    async (t, { code }) => {
      inNewFolder(t)
      // On whatever port is free.
      const createServer = answer => {
        const server = http.createServer(answer)
        const listen = server.listen.bind(server)
        server.listen = () => listen(0, '127.0.0.1')
        return server
      }
      const { server, cask: opened } = await run(code, {}, { 'baileys-cask': cask, 'node:http': { createServer } }, ['server', 'cask'])
      afterwards(t, async () => {
        server.close()
        await opened.close()
      })
      await within(10_000, 'the server listens', once(server, 'listening'))
      const response = await fetch(`http://127.0.0.1:${server.address().port}/`, { headers: { connection: 'close' } })
      assert.match(response.headers.get('content-type'), /^text\/plain; version=0\.0\.4/)
      assert.match(await response.text(), /^baileys_cask_open_transactions\{cask="shops"\} 0$/m)
    },
  ],
  'docs/security.md': [
    async (t, { code }) => {
      inNewFolder(t)
      const { cask: sealed } = await run(code, { openCask: cask.openCask, randomBytes }, {}, ['cask'])
      await sealed.account().keys.set({ 'lid-mapping': { a: 'b' } })
      await sealed.close()
      await assert.rejects(cask.openCask({ path: 'auth' }), { code: 'ERR_CASK_KEY' })
    },
  ],
  'docs/deploying.md': [
    async (t, { code }) => {
      inNewFolder(t)
      const server = await startServer(t)
      const seen = {}
      const handlers = new Map()
      const modules = { baileys: await socketOn(t, server, { jid: '15550100009:1@s.whatsapp.net', name: 'Bot' }, seen), 'baileys-cask': cask }
      const process = { once: (signal, handler) => handlers.set(signal, handler), exit: status => handlers.set('exit', status) }
      const { cask: opened } = await run(code, { logger: silent, process }, modules, ['cask'])
      await within(10_000, 'the connection opens', seen.opened)
      assert.deepEqual([...handlers.keys()], ['SIGINT', 'SIGTERM'])
      await handlers.get('SIGTERM')()
      assert.equal(handlers.get('exit'), 0)
      await assert.rejects(opened.accounts(), { code: 'ERR_CASK_CLOSED' })
    },
  ],
}

describe('JavaScript on a page runs', () => {
  for (const page of PAGES) {
    const blocks = blocksOf(page).filter(({ language }) => /^(js|javascript|mjs|cjs)\b/.test(language))
    if (page in TESTED_ALONE) {
      test(`${page}: in a test of its own`, () => {
        const source = readFileSync(join(PACKAGE, '__test__', TESTED_ALONE[page]), 'utf8')
        assert.ok(source.includes(`${page}'`), `${TESTED_ALONE[page]} does not read it`)
      })
      continue
    }
    for (const [n, block] of blocks.entries()) {
      test(`${page}, line ${block.line}: ${block.title}`, async t => {
        const example = EXAMPLES[page]?.[n]
        assert.ok(example, 'nothing runs this block')
        assert.equal(block.language, 'js')
        await within(60_000, block.title, example(t, block))
      })
    }
    test(`${page}: every example is one of its blocks`, () => assert.equal(EXAMPLES[page]?.length ?? 0, blocks.length))
  }
})

describe('commands on a page are there', () => {
  /** What each command names: scripts of the package, files, or programs that are used elsewhere in the tests. */
  const KNOWN = {
    npm: ([verb, name]) => ['ci', 'install', 'test'].includes(verb) || (verb === 'run' && name in manifest.scripts),
    node: args => {
      const file = args.find(word => /\.m?js$/.test(word))
      return args.includes('--test') ? existsSync(join(PACKAGE, file)) : existsSync(join(PACKAGE, file)) || existsSync(join(PACKAGE, 'bench', file))
    },
    cargo: args => {
      // Of the core's tests: a program, and a part of it.
      const [program, part] = args.includes('--test') ? args.slice(args.indexOf('--test') + 1) : []
      const file = part ? `${program}/${part}.rs` : `${program}.rs`
      return args[0] === 'fmt' || (args[0] === 'test' && (!program || existsSync(join(PACKAGE, 'tests', file))))
    },
    npx: ([program, command, part]) => program in manifest.bin && (COMMANDS.has(command) || COMMANDS.has(`${command} ${part}`)),
    cd: ([folder]) => existsSync(join(PACKAGE, folder)),
    '.ci/run': () => true,
    'scripts/sanitize': ([sanitizer]) => new RegExp(`\\b${sanitizer}\\b`).test(readFileSync(join(PACKAGE, 'scripts/sanitize'), 'utf8')),
    // Run with these options in bundlers.spec.mjs.
    esbuild: args => args.includes('--bundle') && args.includes('--platform=node'),
  }
  for (const block of PAGES.flatMap(blocksOf).filter(({ language }) => language === 'sh')) {
    test(`${block.page}, line ${block.line}`, () => {
      for (const line of block.code.split('\n')) for (const command of line.replace(/\s#.*$/, '').split('&&')) {
        const [program, ...args] = command.trim().replace(/^(\w+=\S+ )+/, '').split(/\s+/)
        assert.ok(KNOWN[program]?.(args), command)
      }
    })
  }

  test('no page has a block in another language', () => {
    const strange = PAGES.flatMap(blocksOf).filter(({ page, language }) => !['js', 'sh', 'ts', '', ...SHOWN_ALONE[page] ?? []].includes(language))
    assert.deepEqual(strange.map(({ page, line, language }) => `${page}, line ${line}: ${language}`), [])
    // Signatures, which api-doc.spec.mjs compares with the typings.
    assert.deepEqual([...new Set(PAGES.flatMap(blocksOf).filter(({ language }) => language === 'ts').map(({ page }) => page))], ['docs/api.md'])
  })
})

describe('links lead somewhere', () => {
  const anchorsOf = page => new Set([...textOf(page).matchAll(/^#+ (.*)$/gm)].map(([, title]) => title.toLowerCase().replace(/[^\w\- ]/g, '').replaceAll(' ', '-')))
  for (const page of PAGES) {
    test(page, () => {
      for (const [, link] of textOf(page).replace(/^```.*?^```$/gms, '').replace(/`[^`\n]*`/g, '').matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^https:/.test(link)) continue
        const [path, anchor] = link.split('#')
        const target = path === '' ? page : normalize(join(dirname(page), path))
        assert.ok(existsSync(join(PACKAGE, target)), link)
        if (anchor) assert.ok(anchorsOf(target).has(anchor), link)
      }
    })
  }
})
