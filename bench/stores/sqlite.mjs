import { BufferJSON, proto } from 'baileys'
import Database from 'better-sqlite3'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { withBaileysTransactions } from './wrapped.mjs'

/**
 * better-sqlite3 with the tables, statements and pragmas of Baileys' own `useSqliteAuthState` (its development branch), and a column for
 * the account: WAL, BufferJSON, prepared statements, one transaction per `set`.
 */
export const open = async (dir, { synchronous }) => {
  mkdirSync(dir, { recursive: true })
  const db = new Database(join(dir, 'keys.db'))
  db.pragma('journal_mode = WAL')
  db.pragma(`synchronous = ${synchronous}`)
  db.exec(`
    CREATE TABLE IF NOT EXISTS records (
      account TEXT NOT NULL, family TEXT NOT NULL, id TEXT NOT NULL, value TEXT NOT NULL,
      PRIMARY KEY (account, family, id)
    );
    CREATE INDEX IF NOT EXISTS records_family ON records (account, family);
  `)
  const select = db.prepare('SELECT value FROM records WHERE account = ? AND family = ? AND id = ?')
  const upsert = db.prepare(`
    INSERT INTO records (account, family, id, value) VALUES (?, ?, ?, ?)
    ON CONFLICT (account, family, id) DO UPDATE SET value = excluded.value
  `)
  const remove = db.prepare('DELETE FROM records WHERE account = ? AND family = ? AND id = ?')
  const write = db.transaction((account, data) => {
    for (const family in data) {
      for (const id in data[family]) {
        const value = data[family][id]
        if (value === null || value === undefined) remove.run(account, family, id)
        else upsert.run(account, family, id, JSON.stringify(value, BufferJSON.replacer))
      }
    }
  })
  return {
    async account(name = 'default') {
      return {
        async get(family, ids) {
          const found = {}
          for (const id of ids) {
            const row = select.get(name, family, id)
            if (!row) continue
            const value = JSON.parse(row.value, BufferJSON.reviver)
            found[id] = family === 'app-state-sync-key' ? proto.Message.AppStateSyncKeyData.fromObject(value) : value
          }
          return found
        },
        async set(data) {
          write(name, data)
        }
      }
    },
    transactional: withBaileysTransactions,
    async close() {
      db.close()
    }
  }
}
