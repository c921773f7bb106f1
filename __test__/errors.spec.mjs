import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { inspect } from 'node:util'
import { attachCask, CaskError, exportMultiFile, importMultiFile, openCask, useCaskAuthState } from 'baileys-cask'
import { open } from './helpers/casks.mjs'
import { newPath, tempFolder } from './helpers/folders.mjs'
import { startChild } from './helpers/remote.mjs'

const require = createRequire(import.meta.url)
const binding = require('../binding.js')
const read = name => readFileSync(new URL(`../${name}`, import.meta.url), 'utf8')

/** The one table. */
const TABLE = new Map(read('docs/errors.md').split('\n').filter(line => line.startsWith('| `ERR_')).map(line => {
  const [code, classes, retryable, meaning, action, fields] = line.split('|').slice(1, -1).map(cell => cell.trim())
  return [code.replaceAll('`', ''), {
    classes: classes.split(', '), retryable: retryable === 'yes', meaning, action, fields: fields.split(', ').filter(Boolean).map(field => field.replaceAll('`', '')),
  }]
}))
const typings = read('index.d.ts')
/** Codes that JavaScript alone knows. */
const MADE_IN_JS = ['ERR_CASK_CREDS_MISSING', 'ERR_CASK_BAILEYS_MISSING', 'ERR_CASK_ADDON']
/** What every error has beside the fields of its code. */
const COMMON = ['name', 'code', 'retryable', 'message', 'stack', 'cause']

/** Every source file of the JavaScript layer. */
const SOURCES = readdirSync(new URL('../js', import.meta.url), { recursive: true }).map(String).filter(name => name.endsWith('.js')).map(name => read(`js/${name}`))

describe('the table in docs/errors.md', () => {
  test('has a row for every code of the typings, and no other', () => {
    const union = typings.slice(typings.indexOf('export type CaskErrorCode ='), typings.indexOf('/** What the store itself reports.'))
    assert.deepEqual([...TABLE.keys()].sort(), [...union.matchAll(/'(ERR_CASK_\w+)'/g)].map(([, code]) => code).sort())
  })

  test('has a row for every code of the core, and for those of JavaScript', () => {
    assert.deepEqual([...binding.errorCodes(), ...MADE_IN_JS].sort(), [...TABLE.keys()].sort())
  })

  test('has a row for every code that the sources name', () => {
    const named = new Set(SOURCES.flatMap(source => [...source.matchAll(/ERR_CASK_\w+/g)].map(([code]) => code)))
    for (const code of named) assert.ok(TABLE.has(code), code)
    for (const code of MADE_IN_JS) assert.ok(named.has(code), code)
  })

  test('says what each code means, what to do, and whether to retry', () => {
    for (const [code, { classes, meaning, action }] of TABLE) {
      assert.ok(meaning && action, code)
      assert.ok(classes.every(name => ['CaskError', 'TypeError', 'RangeError'].includes(name)), code)
    }
  })

  test('names fields that the class in the typings has, and all of them', () => {
    const body = typings.slice(typings.indexOf('export class CaskError'))
    const declared = [...body.slice(0, body.indexOf('\n}')).matchAll(/readonly (\w+)\??:/g)].map(([, field]) => field)
    const named = new Set([...TABLE.values()].flatMap(({ fields }) => fields))
    assert.deepEqual([...named].sort(), declared.filter(field => !COMMON.includes(field)).sort())
  })
})

/** One way to come to each code that needs no fault of the machine; the others have tests where they happen. */
const WAYS = {
  ERR_CASK_INVALID_ARGUMENT: [
    async t => (await open(t)).account().keys.get(1, []), async t => (await open(t)).account().keys.get('session', ['x'.repeat(5000)]),
    async t => (await open(t)).account().keys.set({ session: { a: NaN } }), async () => openCask({ path: import.meta.filename ?? new URL(import.meta.url).pathname }),
    async t => (await open(t)).account('n'.repeat(1_000)), async t => { const cask = await open(t); return cask.account().keys.transaction(() => cask.close()) },
    async t => { const account = (await open(t)).account(); return account.keys.transaction(() => account.drop()) },
    async t => importMultiFile(newPath(t), (await open(t)).account()), async t => importMultiFile('folder', await open(t)),
    async t => {
      const account = (await open(t)).account()
      await account.saveCreds({})
      await account.keys.set({ session: { 'a/b': 1, a__b: 1 } })
      return exportMultiFile(account, newPath(t))
    },
  ],
  ERR_CASK_CLOSED: [async () => { const cask = await openCask(); await cask.close(); return cask.accounts() }, async () => attachCask('nothing is open here')],
  ERR_CASK_LOCKED: [async t => {
    const path = newPath(t)
    const child = await startChild(t)
    await child.run(async ({ openCask, kept }, path) => { kept.cask = await openCask({ path }) }, path)
    return openCask({ path })
  }],
  ERR_CASK_DETACHED: [async t => {
    const path = newPath(t)
    const cask = await open(t, { path })
    rmSync(path, { recursive: true })
    await open(t, { path })
    return cask.account().keys.get('session', ['a'])
  }],
  ERR_CASK_DEADLOCK: [async t => {
    const { keys } = (await open(t)).account()
    const sides = ['a', 'b'].map(label => {
      let enter
      const entered = new Promise(resolve => (enter = resolve))
      return { label, enter, entered }
    })
    const [a, b] = sides
    const side = (mine, other) => keys.transaction(async () => {
      mine.enter()
      await other.entered
      await keys.transaction(async () => {}, other.label)
    }, mine.label)
    return Promise.all([side(a, b), side(b, a)])
  }],
  ERR_CASK_TRANSACTION_ENDED: [async t => {
    let tx
    await (await open(t)).account().keys.transaction(async given => (tx = given), 'label')
    return tx.set({ session: { a: 1 } })
  }],
  ERR_CASK_CREDS_MISSING: [async t => {
    const cask = await open(t)
    await cask.account().keys.set({ session: { a: 1 } })
    return useCaskAuthState(cask)
  }, async t => exportMultiFile((await open(t)).account(), newPath(t))],
  ERR_CASK_DROPPED: [async t => {
    const account = (await open(t)).account()
    await account.drop()
    return account.keys.get('session', ['a'])
  }],
  ERR_CASK_ABORTED: [async t => importMultiFile('folder', (await open(t)).account(), { signal: AbortSignal.abort('why') })],
  ERR_CASK_CORRUPT: [async t => {
    const folder = tempFolder(t)
    writeFileSync(`${folder}/creds.json`, '')
    return await useCaskAuthState(newPath(t), { importFrom: folder })
  }],
  ERR_CASK_IO: [t => openCask({ path: newPath(t, 'x'.repeat(300)) })],
}

describe('what is thrown', () => {
  for (const [code, ways] of Object.entries(WAYS)) for (const [n, way] of ways.entries()) {
    test(`${code} is as the table says (${n + 1})`, async t => {
      const error = await way(t).then(() => assert.fail('nothing was thrown'), thrown => thrown)
      const { classes, retryable, fields } = TABLE.get(code)
      assert.equal(error.code, code, error.stack)
      assert.ok(classes.includes(error.name), error.name)
      assert.equal(error.constructor.name, error.name)
      assert.ok(error instanceof Error)
      assert.match(error.message, /.{20,}/)
      // Enough to find the call: the stack leads to the caller, not to a callback of the package alone.
      // (V8 loses the trail of a promise that several wait for.)
      if (code !== 'ERR_CASK_CREDS_MISSING') assert.match(error.stack, /errors\.spec\.mjs/)
      const own = Object.keys(error).filter(name => !COMMON.includes(name))
      for (const name of own) assert.ok(fields.includes(name), `${name} is not in the table`)
      for (const name of own) assert.notEqual(error[name], undefined, name)
      if (error.name === 'CaskError') {
        assert.ok(error instanceof CaskError)
        assert.equal(error.retryable, retryable)
      } else {
        assert.equal(error.argument.length > 0, true)
      }
      // Fields that every error of this code has.
      const always = { ERR_CASK_LOCKED: ['path', 'pid', 'host'], ERR_CASK_DETACHED: ['path'], ERR_CASK_DEADLOCK: ['label'], ERR_CASK_TRANSACTION_ENDED: ['label'],
        ERR_CASK_CREDS_MISSING: ['account'], ERR_CASK_DROPPED: ['account'], ERR_CASK_IO: ['path', 'syscall', 'errno'] }[code] ?? []
      for (const name of always) assert.notEqual(error[name], undefined, `${name} is missing`)
    })
  }
})

describe('messages', () => {
  test('none contains a part of a value, a key or a secret', async t => {
    const secret = 'MARKER-7f3a'
    const bytes = Buffer.from(secret)
    const cask = await open(t)
    const account = cask.account()
    const { keys } = account
    const errors = []
    const attempt = async (call) => {
      try {
        await call()
        assert.fail('this should be refused')
      } catch (error) {
        errors.push(error)
      }
    }
    const bad = [NaN, () => secret, Symbol(secret), new Map([[secret, bytes]]), new Set([secret]), new Date(), /MARKER-7f3a/, new Error(secret), 10n, Promise.resolve(secret),
      new Int8Array(bytes), new String(secret), `${secret}\ud83d`, [undefined], Object.assign([], { length: 2 })]
    for (const value of bad) {
      for (const family of ['session', 'pre-key', 'sender-key', 'app-state-sync-key', 'app-state-sync-version', 'lid-mapping', 'tctoken', 'other']) {
        await attempt(() => keys.set({ [family]: { id: { before: secret, bytes, value, after: secret } } }))
        await attempt(() => keys.transaction(tx => tx.set({ [family]: { id: [secret, { value }, bytes] } })))
      }
      await attempt(() => account.saveCreds({ me: { id: secret }, noiseKey: { private: bytes, value } }))
      await attempt(() => keys.transaction(tx => tx.setCreds({ secret, value })))
    }
    for (const [family, value] of [
      ['app-state-sync-key', { keyData: `${secret}!!` }], ['app-state-sync-key', { keyData: bytes, timestamp: secret, fingerprint: secret }],
      ['pre-key', { public: bytes, private: NaN }], ['app-state-sync-version', { version: NaN, hash: bytes, indexValueMap: { [secret]: { valueMac: bytes } } }],
    ]) await attempt(() => keys.set({ [family]: { id: value } }))
    await attempt(() => keys.set(secret))
    await attempt(() => keys.set({ session: secret }))
    await attempt(() => account.saveCreds(secret))
    await attempt(() => keys.set({ session: { id: Buffer.concat([Buffer.alloc(128 * 1024 * 1024), bytes]) } }))
    await account.keys.set({ session: { id: { secret } } })
    await account.drop()
    await attempt(() => keys.get('session', ['id']))
    assert.ok(errors.length > 200)
    for (const error of errors) {
      assert.ok(String(error.code).startsWith('ERR_CASK_'), error.stack)
      const shown = [error.message, error.stack.split('\n    at ')[0], inspect(error).split('\n    at ')[0], JSON.stringify(error), String(error.cause)].join('\n')
      assert.ok(!shown.includes(secret) && !shown.includes(bytes.toString('hex')) && !shown.includes(bytes.toString('base64')), shown)
    }
  })

  test('an error survives JSON, structured clone and inspection with its code', async t => {
    const account = (await open(t)).account('gone')
    await account.drop()
    const error = await account.loadCreds().catch(thrown => thrown)
    assert.equal(JSON.parse(JSON.stringify(error)).code, 'ERR_CASK_DROPPED')
    assert.match(inspect(error), /ERR_CASK_DROPPED/)
    assert.match(String(error), /^CaskError: account gone was dropped/)
    assert.equal(structuredClone(error).message, error.message)
  })
})
