// The key store types of Baileys' development branch, restated: a cask fits them without a release that has them. Compiled, never run.
import type { FamilyMap, KeyStore, RecordRef, Transaction } from 'baileys-cask'

type Awaitable<T> = T | Promise<T>
type DevelopDataSet = { [F in keyof FamilyMap]?: { [id: string]: FamilyMap[F] | null } }
type DevelopRecordRef = { type: keyof FamilyMap; id: string }
type DevelopScope = { records: readonly DevelopRecordRef[] }

type DevelopKeyStore = {
  get<F extends keyof FamilyMap>(type: F, ids: string[]): Awaitable<{ [id: string]: FamilyMap[F] }>
  set(data: DevelopDataSet): Awaitable<void>
  clear?(): Awaitable<void>
  list?<F extends keyof FamilyMap>(type: F): AsyncIterable<readonly [id: string, value: FamilyMap[F]]>
  listIds?<F extends keyof FamilyMap>(type: F): AsyncIterable<string>
}
type DevelopWithTransaction = DevelopKeyStore & {
  isInTransaction: () => boolean
  transaction<T>(exec: () => Promise<T>, key: string): Promise<T>
  transactWith?<T>(scope: DevelopScope, work: () => Promise<T>): Promise<T>
}
type DevelopWithRecordTransaction = DevelopWithTransaction & {
  transactWith<T>(scope: DevelopScope, work: () => Promise<T>): Promise<T>
}

declare const keys: KeyStore
declare const tx: Transaction
export const store: DevelopKeyStore = keys
export const transactional: DevelopWithTransaction = keys
export const byRecord: DevelopWithRecordTransaction = keys
export const inside: DevelopWithRecordTransaction = tx

declare const scope: DevelopScope
declare const record: DevelopRecordRef
export const taken: RecordRef = record
export const length: number = await keys.transactWith(scope, async given => (await given.get('lid-mapping', ['a']))['a']?.length ?? 0)
export const alone: string = await byRecord.transactWith(scope, async () => 'done')
declare const data: DevelopDataSet
await keys.set(data)

// @ts-expect-error -- records, not one
await keys.transactWith(record, async () => {})
// @ts-expect-error -- a record has an id
await keys.transactWith({ records: [{ type: 'session' }] }, async () => {})
// @ts-expect-error -- work returns a promise
await keys.transactWith(scope, () => 1)
// @ts-expect-error -- it has a scope and no label
await keys.transactWith('label', async () => {})
