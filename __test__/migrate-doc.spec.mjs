import { test } from 'node:test'
import assert from 'node:assert/strict'
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import * as baileys from 'baileys'
import * as cask from 'baileys-cask'
import { authFolder, linkedCreds, ONE_OF_EACH } from './helpers/auth-folders.mjs'
import { contents } from './helpers/casks.mjs'
import { within } from './helpers/gate.mjs'
import { blocksOf, inNewFolder, run } from './helpers/pages.mjs'

const { BufferJSON, proto } = baileys
const PAGE = 'docs/migrate.md'
const creds = linkedCreds()

/** Blocks by the way that they show; a way may have two. */
const blocks = blocksOf(PAGE).filter(({ language }) => language === 'js')
const examples = [...new Set(blocks.map(({ title }) => title))].map(title => ({ title, codes: blocks.filter(block => block.title === title).map(({ code }) => code) }))

/** A key store over rows of text, as the adapters of databases are. */
function adapter(rows, encode = name => name, credsName = 'creds') {
  const read = name => (rows.has(name) ? JSON.parse(rows.get(name), BufferJSON.reviver) : null)
  return {
    creds: read(credsName),
    keys: {
      get: async (type, ids) => Object.fromEntries(ids.map(id => {
        const value = read(encode(`${type}-${id}`))
        return [id, type === 'app-state-sync-key' && value ? proto.Message.AppStateSyncKeyData.fromObject(value) : value]
      })),
    },
  }
}

/** What a bot has left in its database. */
function rowsOf(encode = name => name, credsName = 'creds') {
  const rows = new Map([[credsName, creds]])
  for (const [type, values] of Object.entries(ONE_OF_EACH)) for (const [id, value] of Object.entries(values)) rows.set(encode(`${type}-${id}`), value)
  return new Map([...rows].map(([name, value]) => [name, JSON.stringify(value, BufferJSON.replacer)]))
}

const encoded = name => name.replace(/\//g, '__').replace(/:/g, '-')

/** Stand-ins for what the examples import: each knows the one query of its example. */
const MODULES = {
  baileys, 'baileys-cask': cask,
  './sqlite-auth-state.js': { useSQLiteAuthState: async () => ({ state: adapter(rowsOf()) }) },
  'better-sqlite3': {
    default: class {
      prepare(sql) {
        assert.equal(sql, 'SELECT id FROM auth WHERE session = ?')
        return { pluck: () => ({ all: session => (session === 'shop-17' ? [...rowsOf().keys()] : []) }) }
      }
      close() {}
    },
  },
  ioredis: { default: class {} },
  'baileys-redis-auth': {
    useRedisAuthState: async (options, prefix) => {
      const rows = rowsOf(encoded)
      const keys = [...rows.keys()].map(name => `${prefix}:${name}`)
      const scanStream = ({ match }) => {
        assert.equal(match, 'shop-17:*')
        return Readable.from([keys.slice(0, 5), keys.slice(3)])
      }
      return { state: adapter(rows, encoded), redis: { scanStream, disconnect() {} } }
    },
  },
  'mysql-baileys': { useMySQLAuthState: async () => ({ state: adapter(rowsOf()) }) },
  'mysql2/promise': {
    createConnection: async () => ({
      query: async (sql, [session]) => {
        assert.equal(sql, 'SELECT id FROM auth WHERE session = ?')
        return [session === 'shop-17' ? [...rowsOf().keys()].map(id => ({ id })) : [], []]
      },
      end: async () => {},
    }),
  },
  mongodb: {
    MongoClient: class {
      async connect() { return this }
      db() { return { collection: () => ({ find: (filter, { projection }) => ({ toArray: async () => (projection._id ? [...rowsOf(undefined, 'auth_creds').keys()].map(_id => ({ _id })) : []) }) }) } }
      async close() {}
    },
  },
  'mongo-baileys': { useMongoDBAuthState: async () => ({ state: adapter(rowsOf(undefined, 'auth_creds'), undefined, 'auth_creds') }) },
}

/** What an account holds that has everything; one that has only sessions. */
async function wholeAccount() {
  const one = await cask.openCask()
  const account = one.account('shop-17')
  await account.saveCreds(creds)
  await account.keys.set(ONE_OF_EACH)
  const { 'shop-17': found } = await contents(one)
  await one.close()
  return found
}

test('the page has an example for each way', () => {
  const titles = examples.map(({ title }) => title)
  for (const title of ['With the socket, once', 'By a script, with a look first', 'SQLite', 'Redis', 'MySQL', 'MongoDB', 'A store that lists its records', 'Export']) assert.ok(titles.includes(title), title)
  for (const { title, codes } of examples) for (const code of codes) assert.match(code, /assert/, title)
})

for (const { title, codes } of examples) {
  test(`example: ${title}`, async t => {
    const listeners = process.listeners('SIGINT')
    const folder = inNewFolder(t)
    cpSync(await authFolder(t, ONE_OF_EACH, creds), join(folder, 'auth_info_baileys'), { recursive: true })
    if (title === 'Export') {
      const one = await cask.openCask({ path: join(folder, 'auth-of-shop-17') })
      await cask.importMultiFile(join(folder, 'auth_info_baileys'), one.account('shop-17'))
      await one.close()
    }
    try {
      for (const code of codes) {
        await within(10_000, title, run(code, { assert, linkedCreds: creds, console: { log() {}, error: assert.fail } }, MODULES))
      }
    } finally {
      for (const listener of process.listeners('SIGINT')) if (!listeners.includes(listener)) process.removeListener('SIGINT', listener)
    }
    if (title === 'Export') return
    const one = await cask.openCask({ path: join(folder, 'auth') })
    t.after(() => one.close())
    const found = Object.values(await contents(one))
    if (title === 'A store that lists its records') assert.deepEqual(found, [{ creds: (await wholeAccount()).creds, records: { session: [['15550100002.0', { _sessions: {}, version: 'v1' }]] } }])
    else assert.deepEqual(found, [await wholeAccount()])
  })
}
