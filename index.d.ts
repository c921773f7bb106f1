/// <reference types="node" />

// ---- values ---------------------------------------------------------------------------------------------
// Baileys is an optional peer. Where a package is not installed its import type is the compiler's error type, which makes every
// conditional type that looks at it `any`, but whose keys are those of `any`: this turns it into `never`.
type IfInstalled<T> = string extends keyof T ? never : T
// @ts-ignore -- optional peer
type Map7 = IfInstalled<import('baileys').SignalDataTypeMap>
// @ts-ignore -- optional peer
type Map6 = IfInstalled<import('@whiskeysockets/baileys').SignalDataTypeMap>
// @ts-ignore -- optional peer
type Creds7 = IfInstalled<import('baileys').AuthenticationCreds>
// @ts-ignore -- optional peer
type Creds6 = IfInstalled<import('@whiskeysockets/baileys').AuthenticationCreds>

/** A Curve25519 key pair, 32 bytes each (33 for a public key with its type byte). */
export interface KeyPair {
  public: Uint8Array
  private: Uint8Array
}

type LooseAppStateSyncKey = {
  keyData?: Uint8Array | null
  fingerprint?: { rawId?: number | null; currentIndex?: number | null; deviceIndexes?: number[] | null } | null
  timestamp?: number | null
}

type SyncKeyOf<M> = M extends { 'app-state-sync-key': infer V } ? V : never

/** The app state sync key of the installed Baileys packages; a loose form of it where none is installed. */
export type AppStateSyncKey = [SyncKeyOf<Map7> | SyncKeyOf<Map6>] extends [never]
  ? LooseAppStateSyncKey
  : SyncKeyOf<Map7> | SyncKeyOf<Map6>

/** What every supported Baileys agrees on, family by family. */
export interface FamilyMap {
  'pre-key': KeyPair
  session: Uint8Array
  'sender-key': Uint8Array
  'sender-key-memory': { [jid: string]: boolean }
  'app-state-sync-key': AppStateSyncKey
  'app-state-sync-version': {
    version: number
    hash: Buffer
    indexValueMap: { [indexMacBase64: string]: { valueMac: Uint8Array | Buffer } }
  }
  'lid-mapping': string
  'device-list': string[]
  tctoken: { token: Buffer; timestamp?: string; senderTimestamp?: number }
  'identity-key': Uint8Array
}

/** Creds of the installed Baileys; with both packages installed, a value that both accept. */
export type AuthCreds = [Creds7] extends [never]
  ? [Creds6] extends [never]
    ? { [key: string]: unknown }
    : Creds6
  : [Creds6] extends [never]
    ? Creds7
    : Creds7 & Creds6

/** Creds as they may be handed in: those of any installed Baileys. */
export type AuthCredsLike = [Creds7 | Creds6] extends [never] ? { [key: string]: unknown } : Creds7 | Creds6

/** The families Baileys knows. */
export type KnownFamily = keyof FamilyMap
/** Baileys' data type: one of the known families, or any other name of 1 to 255 bytes. */
export type Family = KnownFamily | (string & {})

/** Values by family and id. `null` and `undefined` delete the record. */
export type KeyData<D = Record<KnownFamily, unknown>> = {
  [F in keyof D]?:
    | { [id: string]: (F extends KnownFamily ? FamilyMap[F] : unknown) | null | undefined }
    | undefined
}

// ---- errors ---------------------------------------------------------------------------------------------
/** Every code this package throws; `docs/errors.md` says what to do about each. */
export type CaskErrorCode =
  | 'ERR_CASK_INVALID_ARGUMENT'
  | 'ERR_CASK_CLOSED'
  | 'ERR_CASK_LOCKED'
  | 'ERR_CASK_DETACHED'
  | 'ERR_CASK_LOCK_TIMEOUT'
  | 'ERR_CASK_DEADLOCK'
  | 'ERR_CASK_TRANSACTION_TIMEOUT'
  | 'ERR_CASK_ABORTED'
  | 'ERR_CASK_TRANSACTION_ENDED'
  | 'ERR_CASK_CORRUPT'
  | 'ERR_CASK_VERSION'
  | 'ERR_CASK_KEY'
  | 'ERR_CASK_IO'
  | 'ERR_CASK_POISONED'
  | 'ERR_CASK_CREDS_MISSING'
  | 'ERR_CASK_BAILEYS_MISSING'
  | 'ERR_CASK_ADDON'
  | 'ERR_CASK_DROPPED'
  | 'ERR_CASK_INTERNAL'

/** What the store itself reports. An argument that is wrong by itself is a `TypeError` or `RangeError` with the same `code` field instead. */
export class CaskError extends Error {
  readonly name: 'CaskError'
  readonly code: CaskErrorCode
  /** Whether the same call may succeed when it is made again; of a transaction, the whole of it. */
  readonly retryable: boolean
  /**
   * What the operating system or the caller's own code reported; of a call in a doomed transaction, what doomed it, where that is
   * retryable.
   */
  readonly cause?: unknown
  /** The argument to correct; for a value, the place inside it. */
  readonly argument?: string
  /** The file or folder involved. */
  readonly path?: string
  /** Byte offset in `path` at which damage was found. */
  readonly offset?: number
  /** Name of the system call that failed, such as `write`. */
  readonly syscall?: string
  /** The operating system's error number. */
  readonly errno?: number
  /** Process that holds the folder. */
  readonly pid?: number
  /** Host of the process that holds the folder. */
  readonly host?: string
  /** Format version found on disk. */
  readonly found?: number
  /** Newest format version this package reads. */
  readonly supported?: number
  /** Account involved. */
  readonly account?: string
  /** Label of the transaction involved; of a deadlock, the one to retry. */
  readonly label?: string
  /** Records that were waited for. */
  readonly records?: readonly { account: string; type: string; id: string }[]
  /** Labels that were waited for. */
  readonly labels?: readonly string[]
  /** How long the call waited, in milliseconds. */
  readonly waitedMs?: number
  /** How long the transaction held locks, in milliseconds. */
  readonly heldMs?: number
}

// ---- stores ---------------------------------------------------------------------------------------------
/** Settings of one transaction; an unknown one is refused. */
export interface TransactionOptions {
  /**
   * `record`: reads and writes lock their records, so that transactions are serializable whatever their labels.
   * `label`: reads take no locks, and writes take theirs at the commit, all together; others stay serializable, this one is as far as
   * its label goes.
   * @default 'record'
   */
  isolation?: 'record' | 'label'
  /**
   * Inside a transaction of the same account: `join` leaves writes and locks to it and is undone with it. `independent` commits at its own
   * end and stays when the one around it fails; its locks end with it, but for those that are held around it too. Where it touches a
   * record with a write staged around it, it joins as a whole (see `joined`). Elsewhere the two are the same.
   * @default 'join'
   */
  nested?: 'join' | 'independent'
  /** Cancels a wait, or dooms the running transaction until its commit begins: `ERR_CASK_ABORTED`. */
  signal?: AbortSignal
  /**
   * Longest time from this call to the end of `work`, waits included, in milliseconds; then `ERR_CASK_TRANSACTION_TIMEOUT`. 0 is none.
   * @default 0
   */
  timeoutMs?: number
}

/** Names a record. */
export interface RecordRef {
  type: Family
  id: string
}

interface KeyAccess {
  /**
   * Reads records of one family. Absent ids are omitted from the result.
   * Outside a transaction it waits for no lock and returns committed state; all ids are read at one instant. Inside one it locks the records
   * to its end, shared in `lid-mapping`, `device-list`, `identity-key` and `app-state-sync-key`, else exclusively.
   */
  get<F extends KnownFamily>(family: F, ids: string[]): Promise<{ [id: string]: FamilyMap[F] }>
  get(family: Family, ids: string[]): Promise<{ [id: string]: unknown }>
  /**
   * Writes one atomic batch over all its families: after a failure, or a crash, either all of it is there or nothing.
   * `null` and `undefined` delete. A value that could not come back unchanged is refused with a `TypeError` that names its path.
   * It waits for the locks of its records, and takes them together.
   */
  set<D extends KeyData<D>>(data: D): Promise<void>
  /** Removes every record of the account. Creds stay. It waits for all locks on records of the account. */
  clear(): Promise<void>
  /**
   * Records of one family: ids as of the call, each value as committed when it is reached; records removed since are omitted.
   * Inside a transaction it locks the family to its end, so that nobody else changes it.
   */
  list<F extends KnownFamily>(family: F): AsyncIterable<[id: string, value: FamilyMap[F]]>
  list(family: Family): AsyncIterable<[id: string, value: unknown]>
  /** Ids of one family as of the call, in no particular order. It locks as `list` does. */
  listIds(family: Family): AsyncIterable<string>
  /** Whether a call made here would take part in a transaction. */
  isInTransaction(): boolean
  /**
   * Runs `work` under the lock of `label`; its writes are committed as one batch when it resolves, and undone when it rejects.
   * Every record it reads or writes is locked to its end. Inside another transaction of the account it joins that one, unless it is
   * `independent`; inside one of another account it commits by itself. `label` is optional because Baileys 6.7 passes none.
   *
   * `work` is to use the handle it is given, or the methods of `keys`, and to await all that belongs to it. Inside another transaction it
   * must not await calls of the outer handle: on what it has locked they wait for its end. Where one of its calls fails with a
   * `CaskError`, the transaction rejects with that, whatever `work` does with it.
   */
  transaction<T>(work: (tx: Transaction) => Promise<T>, label?: string, options?: TransactionOptions): Promise<T>
  /** Like `transaction`, with the locks of some records, at most 65,536, taken before `work` begins, and no label. */
  transactWith<T>(
    scope: { records: readonly RecordRef[] },
    work: (tx: Transaction) => Promise<T>,
    options?: TransactionOptions
  ): Promise<T>
}

/** The keys of one account; assignable to every `SignalKeyStore*` type of both Baileys packages. */
export interface KeyStore extends KeyAccess {}

/**
 * One running transaction: the methods of a key store, bound to it whatever the async context. After its end they reject with
 * `ERR_CASK_TRANSACTION_ENDED`; while it is doomed, with what doomed it.
 */
export interface Transaction extends KeyAccess {
  /** Replaces the account's creds when the transaction commits. Locks them to its end. */
  setCreds(creds: AuthCredsLike): Promise<void>
  /** Whether a transaction that was to be independent commits with the one around it, because it has touched what is staged there. */
  readonly joined: boolean
}

/** A logger shaped like pino's, as Baileys takes it. */
export interface Logger {
  level: string
  child(obj: Record<string, unknown>): Logger
  trace(obj: unknown, msg?: string): void
  debug(obj: unknown, msg?: string): void
  info(obj: unknown, msg?: string): void
  warn(obj: unknown, msg?: string): void
  error(obj: unknown, msg?: string): void
}

/** The part of a Baileys module that is needed here. */
export interface BaileysModule {
  /** Makes the creds of a new identity. */
  initAuthCreds(): AuthCreds
  /** Baileys' protobuf types; with it, app state sync keys come back with their prototype. */
  proto?: unknown
}

export interface CaskOptions {
  /** Folder of the cask; created where it does not exist. Absent: the cask lives in memory. */
  path?: string
  /** Name of a cask in memory: whoever opens the same name in this process, in any thread, shares it. */
  name?: string
  /**
   * What an acknowledged write survives: `process` a kill of the process, `power` a loss of power too. Files only.
   * @default 'process'
   */
  durability?: 'process' | 'power'
  /**
   * With `process`: acknowledged writes reach the disk within this time, in milliseconds.
   * @default 1000
   */
  syncIntervalMs?: number
  /**
   * Bytes of a cache of values for this cask alone; 0 turns caching off for it. All other casks of the process share 64 MiB, less what such casks
   * have: where they have that much together, the others read from the log. Files only.
   * @default shared
   */
  cacheBytes?: number
  /**
   * Whether a cask is made where the folder has none. Set it to `false` for accounts that are linked already: a volume that is not mounted or a
   * mistyped path is an error then, and not the beginning of new identities. Files only.
   * @default true
   */
  create?: boolean
  /**
   * State file, outside of the folder, that keeps how far this machine has seen each cask; many casks and processes may share it. Opening
   * an older copy of a cask, such as a restored backup, then warns through `logger` that old ratchets must not be used again. Files only.
   * @default none
   */
  rollbackGuard?: string
  /**
   * Seals the cask: whoever has the folder or a backup can read nothing of it and change nothing unnoticed without this. 32 random bytes,
   * or a passphrase, which takes some tenths of a second at opening. It is decided when the cask is made: a plain one is not sealed by
   * this, `rewriteCask` does that. A wrong, missing or needless key is `ERR_CASK_KEY`; one that is there and `undefined` is a mistake, since
   * nothing would be sealed. Files only.
   * @default none
   */
  encryptionKey?: Uint8Array | string
  /**
   * How long to wait for a folder that another process holds, in milliseconds.
   * @default 0
   */
  openWaitMs?: number
  /**
   * Longest wait for a lock, in milliseconds; then `ERR_CASK_LOCK_TIMEOUT`. 0 is no limit.
   * @default 0
   */
  lockTimeoutMs?: number
  /**
   * Longest time that a transaction may hold locks without making a call, in milliseconds, and a tenth of the longest time that it may
   * hold them at all; then `ERR_CASK_TRANSACTION_TIMEOUT`. Time in which it waits for a lock does not count. 0 is no limit.
   * @default 120000
   */
  transactionTimeoutMs?: number
  /**
   * Who holds locks or waits for one for longer than this, in milliseconds, is reported: to `logger`, and on the channel
   * `baileys-cask:stall` of `node:diagnostics_channel`. 0 reports nobody.
   * @default 5000
   */
  stallWarnMs?: number
  /**
   * Keep the stack of every call that begins a transaction or waits, for `locks()` and reports: 3 to 10 microseconds each. Without it one
   * transaction in 64 has its stack, and every wait, but for those beyond some 1,000 a second.
   * @default false
   */
  lockStacks?: boolean
  /**
   * Receives warnings: a tail cut off after a crash, a folder that others can read, a lock that is held for too long. And as an error, once,
   * damage that compaction meets in the background: `{ code, path, offset }`.
   */
  logger?: Logger
  /** Where fresh creds come from. @default the installed Baileys, loaded when fresh creds are needed */
  baileys?: BaileysModule
}

/** What opening had to cut off the end of the log: writes that were never acknowledged, or not yet safe from a power loss. */
export interface RecoveryReport {
  /** Bytes cut off. */
  cutBytes: number
  /** Whole frames among them. */
  cutFrames: number
}

/** One WhatsApp identity in a cask: its creds and its records. */
export interface Account {
  readonly name: string
  readonly keys: KeyStore
  /** The creds last committed, as a new object; `undefined` where there are none. The same inside a transaction. */
  loadCreds(): Promise<AuthCreds | undefined>
  /**
   * Saves creds in a batch of their own, at once, also inside a transaction: they stay when it is rolled back. Only where `setCreds` was
   * called in that transaction or around it, they take the place of its value and commit with it.
   */
  saveCreds(creds: AuthCredsLike): Promise<void>
  /**
   * Removes the creds and every record. Handles of the account reject with `ERR_CASK_DROPPED` from then on, and its transactions are
   * doomed, in all threads. Refused inside one of them that is not doomed.
   */
  drop(): Promise<void>
}

/** One that holds a lock or waits for it. */
export interface LockParty {
  /** Account of its transaction; absent for a write outside of all. */
  account?: string
  /** Label of its transaction. */
  label?: string
  /** Node's number of its thread; 0 is the main thread. */
  thread: number
  mode: 'shared' | 'exclusive'
  /** How long it has held it or waited, in milliseconds. */
  ageMs: number
  /**
   * Where the call was made; with `lockStacks` of all. Else waiters have it, but beyond some 1,000 a second only one in 64, and of holders
   * one in 64. Of another thread only once that has reported it as old.
   */
  stack?: string
}

/** One lock that is held or waited for. */
export interface LockInfo {
  kind: 'label' | 'record' | 'family' | 'account' | 'creds'
  account: string
  /** Of a label's lock. */
  label?: string
  /** Family, of the lock of a record or a family. */
  type?: string
  /** Of a record's lock. */
  id?: string
  /** Longest first. None where what is waited for is a lock around this one or inside it, or another record of the same write. */
  holders: LockParty[]
  /** In the order of service. */
  waiters: LockParty[]
}

export interface AccountOptions {
  /**
   * Whether a call of its `keys` inside the work of a transaction takes part in that transaction.
   * @default true
   */
  ambient?: boolean
}

export interface BackupOptions {
  /**
   * Segments of the backup are second names of the cask's own files where the file system allows it: quick, and without room, but what
   * damages one damages the other.
   * @default false
   */
  hardLinks?: boolean
  /** Stops the backup, and removes what there is of it: `ERR_CASK_ABORTED`. */
  signal?: AbortSignal
}

export interface BackupReport {
  /** Folder of the backup, absolute. */
  path: string
  /** Bytes of its segments. */
  bytes: number
  /** How many were made in which way: as second names, as clones that share blocks, as copies. */
  segments: { linked: number; cloned: number; copied: number }
}

/** Bytes of the segments that compaction has read and replaced, and of those that it has written. */
export interface CompactReport {
  bytesBefore: number
  bytesAfter: number
}

/** Something that is damaged. */
export interface Damage {
  path: string
  offset: number
  message: string
  /** Whether records are lost by it. */
  losesRecords: boolean
  /** Account of those records, where that can be told. */
  account?: string
  /** Records that the damaged bytes seem to name; creds have the type `creds` and an empty id. */
  records: { account: string; type: string; id: string }[]
}

export interface VerifyReport {
  /** Whether nothing is damaged. */
  ok: boolean
  /** Segments that the log consists of. */
  segments: number
  /** Whole batches in them, and marks. */
  frames: number
  /**
   * What is intact. `doubtful` of the records, creds counted, may have had a newer version in what is damaged, or may have been removed
   * there.
   */
  accounts: { [name: string]: { records: number; hasCreds: boolean; doubtful: number } }
  /** Bytes that a crash has left behind the end of the log, and whole batches among them. No damage: opening cuts them off. */
  tornBytes: number
  tornFrames: number
  /** A sync has failed when the cask was last open; its newest batches are written again when it is opened. */
  hasFailedSync: boolean
  damages: Damage[]
}

export interface VerifyOptions {
  /** What seals the cask: 32 bytes, or a passphrase. */
  encryptionKey?: Uint8Array | string
  /** Stops the verification: `ERR_CASK_ABORTED`. */
  signal?: AbortSignal
}

export interface RewriteOptions {
  /** What seals the cask: 32 bytes, or a passphrase. Left out for a plain one. */
  encryptionKey?: Uint8Array | string
  /** What seals the new one. Left out, it is plain. */
  newEncryptionKey?: Uint8Array | string
  /** Stops it, and removes what there is of the new cask: `ERR_CASK_ABORTED`. */
  signal?: AbortSignal
}

export interface RewriteReport {
  /** By account: its records, creds not counted, and whether it has creds. */
  accounts: Record<string, { records: number; hasCreds: boolean }>
}

export interface ChangeKeyOptions {
  /** What seals the cask now: 32 bytes, or a passphrase. */
  encryptionKey: Uint8Array | string
  /** What seals it from now on. */
  newEncryptionKey: Uint8Array | string
}

export interface RepairOptions {
  /** What seals the cask, and the new one as well: 32 bytes, or a passphrase. */
  encryptionKey?: Uint8Array | string
  /**
   * What becomes of intact records that may have had a newer version in what is lost, or may have been removed there. An old ratchet is
   * worse than none, so `omit` leaves them all out. `omit-ratchets` leaves out sessions, sender keys and families that Baileys does not
   * know, and keeps creds and the others. `keep` keeps all.
   * @default 'omit'
   */
  doubtful?: 'omit' | 'omit-ratchets' | 'keep'
  /** Stops the repair, and removes what there is of the new cask: `ERR_CASK_ABORTED`. */
  signal?: AbortSignal
}

/** Names a record of an account; creds have the type `creds` and an empty id. */
export interface RepairedRecord {
  type: string
  id: string
}

export interface RepairedAccount {
  /** Records that were kept, creds not counted. */
  records: number
  hasCreds: boolean
  /** Kept although they may have had a newer version, or may have been removed. */
  doubtful: RepairedRecord[]
  /** Left out for that reason. */
  omitted: RepairedRecord[]
  /** Lost in every version, as far as damaged bytes seem to name them. */
  lost: RepairedRecord[]
}

export interface RepairReport {
  accounts: { [name: string]: RepairedAccount }
  /** What was damaged. Where records are lost that nothing names, only this tells. */
  damages: Damage[]
  tornBytes: number
  tornFrames: number
}

// ---- watching -------------------------------------------------------------------------------------------
/** How often values of each size were seen. */
export interface Histogram {
  /** How many values there were. */
  count: number
  /** Their sum; in milliseconds where they are times. */
  sum: number
  /** Upper bounds, ascending, the last one `Infinity`; in milliseconds where values are times. Frozen. */
  bounds: readonly number[]
  /** How many values there were up to each bound and above the one before. */
  counts: readonly number[]
}

/** Records of one family. */
export interface FamilyStats {
  records: number
  /** Bytes that they take in the log; of a cask in memory, those of their ids and encoded values. */
  bytes: number
}

/** What an account holds, and what it has done since its cask was opened in this process, by all handles in all threads. */
export interface AccountStats {
  /** Its records; creds are not counted. */
  records: number
  /** Bytes that they and the creds take. */
  bytes: number
  /** Its creds: one record, or none. */
  creds: FamilyStats
  /** Records by family; families without records are left out. */
  families: { [family: string]: FamilyStats }
  /** Records that were read: found in memory, read from the log, not there. Not those that a transaction has written itself. */
  reads: { cached: number; log: number; absent: number }
  /** Time from handing a batch over until it was acknowledged: sets, commits, saved creds. Without waits for locks, and without those that failed. */
  commits: Histogram
  /** Batches that failed. */
  failedCommits: number
  /** Records that a batch wrote or removed. */
  batchRecords: Histogram
  /** Bytes of batches. */
  writtenBytes: number
  /** Transactions that have ended, those inside of others included. */
  transactions: { committed: number; rolledBack: number }
  /** How long those waited that had to wait for locks, whatever came of it. */
  lockWaits: Histogram
  /** Waits that would never have ended: `ERR_CASK_DEADLOCK`. */
  deadlocks: number
  /** Waits that were longer than `lockTimeoutMs`. */
  lockTimeouts: number
  /** Transactions that were ended by `transactionTimeoutMs` or their `timeoutMs`. */
  transactionTimeouts: number
  /** Transactions that were ended by their signal. */
  aborted: number
}

/** What a log has and has done since it was opened. */
export interface LogStats {
  /** Files that the log consists of, and their bytes. What is preallocated is not counted. */
  segments: number
  bytes: number
  /** Bytes that records take; compaction gives the rest back when it is worth it. */
  liveBytes: number
  /** Batches that wait to be written. */
  queuedBatches: number
  /** Bytes that were appended, compaction not counted. */
  appendedBytes: number
  compactions: number
  /** Bytes of the segments that compaction has replaced, and of those that have taken their places. */
  compactedBytes: number
  copiedBytes: number
  /** Whether a sync has failed: then nothing is written any more until the cask is opened again. */
  poisoned: boolean
  /** How long syncs took. */
  syncs: Histogram
  /** How long it took to read a value that was not in memory. */
  reads: Histogram
  /** How many batches that had to wait were written together; others are written one by one by the call itself. */
  groups: Histogram
}

/** What a cask holds and has done: all accounts together, those that were dropped since it was opened included. */
export interface CaskStats extends AccountStats {
  /** Each account that holds something or was used. What it has done begins at 0 again when it is dropped. */
  accounts: { [name: string]: AccountStats }
  /** Transactions that have not ended. */
  openTransactions: number
  /** Locks that are held or waited for; see `locks()`. */
  locks: number
  /** Calls that wait for locks. */
  lockWaiters: number
  /** Bytes of memory that the index of records takes; 0 in memory, where records are their own index. */
  indexBytes: number
  /** The cache of values: that of the process where casks share one, and nothing in memory. */
  cache: { bytes: number; capacityBytes: number; isShared: boolean }
  /** `undefined` in memory. */
  log: LogStats | undefined
}

export interface StatsOptions {
  /** Whether each account is told of too. @default true */
  accounts?: boolean
}

export interface MetricsOptions extends StatsOptions {
  /** Labels of every series, such as the name of the cask where a process has several. */
  labels?: { [name: string]: string }
}

// ---- casks ------------------------------------------------------------------------------------------------
/** One open store. */
export interface Cask {
  /** Folder of the cask, absolute; `undefined` in memory. */
  readonly path: string | undefined
  /** What opening had to cut off. */
  readonly recovery: Readonly<RecoveryReport>
  /** A handle to an account; nothing is created before its first write. @default name 'default' */
  account(name?: string, options?: AccountOptions): Account
  /** Names of the accounts that have creds or a record. */
  accounts(): Promise<string[]>
  /** Every lock that is held or waited for, of all accounts, by all threads; empty where nothing is. */
  locks(): LockInfo[]
  /**
   * What the cask holds and has done since it was opened in this process, by all handles in all threads. It reads counters and no records, in
   * about 5 milliseconds with 1,000 accounts.
   */
  stats(options?: StatsOptions): CaskStats
  /**
   * The same as text for Prometheus, in seconds and bytes; of each account without histograms. Serve it as
   * `text/plain; version=0.0.4`.
   */
  metrics(options?: MetricsOptions): string
  /** Resolves when everything acknowledged before is safe from a loss of power. */
  flush(): Promise<void>
  /**
   * Makes a copy at `path`, where nothing or an empty folder may be: a cask of its own with everything that was acknowledged before this
   * call, as of one instant. Nobody waits for it. It is there whole or not at all: meanwhile it is called `path` and `.partial`. Files only.
   */
  backup(path: string, options?: BackupOptions): Promise<BackupReport>
  /** Rewrites segments that are mostly garbage now; otherwise that happens in the background. Not during a backup. Files only. */
  compact(): Promise<CompactReport>
  /**
   * Waits for what is under way, then ends this handle; what is begun meanwhile outside of that rejects with `ERR_CASK_CLOSED`. It waits for
   * each transaction of this handle that is not doomed, and is refused inside one. The store closes with its last handle.
   */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** With an open cask only `account`, `importFrom` and `baileys`: the rest was said when it was opened. */
export interface AuthStateOptions extends Omit<CaskOptions, 'path' | 'name'> {
  /** @default 'default' */
  account?: string
  /**
   * Folder of Baileys' `useMultiFileAuthState` to import once, while the account is empty; later it is not looked at. Where it cannot be
   * imported as a whole, this is an error, and never answered with fresh creds.
   */
  importFrom?: string
}

export interface AuthState {
  state: { creds: AuthCreds; keys: KeyStore }
  /** Saves `state.creds` as it is at the moment of the call. Rejects where the disk refuses, and after the close. */
  saveCreds(): Promise<void>
  cask: Cask
  account: Account
  /** Ends this state, for all who got it by the same path and account; a cask that was handed in stays open. */
  close(): Promise<void>
}

// ---- moving in and out ------------------------------------------------------------------------------------
/** How far an import or an export is. */
export interface MigrationProgress {
  /** Records that it has gone through. */
  done: number
  /** Of how many; absent where the source does not tell. */
  total?: number
}

interface MigrationOptions {
  /** Called after each batch. What it throws ends the import or the export. */
  onProgress?: (progress: MigrationProgress) => void
  /** Ends it with `ERR_CASK_ABORTED`; running it again completes it. */
  signal?: AbortSignal
}

interface ImportOptions extends MigrationOptions {
  /** Reads and checks everything, and writes nothing. @default false */
  dryRun?: boolean
  /** Completes the import although values have failed, without them. Creds and files that change meanwhile are not left out. @default false */
  skipFailed?: boolean
  /** Families with a `-` in their names that Baileys does not know. Others end at the first `-` of a name. @default [] */
  families?: string[]
}

export interface ImportMultiFileOptions extends ImportOptions {}

export interface ImportKeysOptions extends ImportOptions {
  /** The creds of the source. They are committed last: until then the account cannot be used. Without them the account gets its records alone. */
  creds?: AuthCredsLike
  /** Ids by family to `get`, where the source has no `list`. */
  ids?: { [family: string]: Iterable<string> | AsyncIterable<string> }
  /** The same as names such as `session-123.0`, as adapters call their rows: as they are, or encoded as Baileys encodes file names. */
  names?: Iterable<string> | AsyncIterable<string>
}

/** A value that could not be imported. */
export interface ImportFailure {
  /** Name of its file in the folder. */
  file?: string
  /** Family of its record; absent for creds. */
  type?: string
  id?: string
  /**
   * `empty`: no bytes, or `null`. `torn`: not whole. `vanished`: gone when it was read. `changed`: not the same at the end as when it was
   * read. `unreadable`: the operating system refused. `refused`: it could not come back unchanged, or is no value of that kind.
   * `missing`: creds that are not there, or an id without a value.
   */
  reason: 'empty' | 'torn' | 'vanished' | 'changed' | 'unreadable' | 'refused' | 'missing'
  /** The reason in words, without any part of the value. */
  message: string
}

export interface ImportResult {
  /** Whether the account is whole: everything is there, verified and safe from a loss of power. Of a dry run: whether it would be. */
  complete: boolean
  /** Whether it was whole before, with the same identity; then nothing was written. */
  present: boolean
  /** Whether creds were imported. */
  creds: boolean
  dryRun: boolean
  /** Number of records imported and read back, by family. */
  records: { [family: string]: number }
  /** What is not in the account. While there is any, it has no creds, unless `skipFailed` was set. */
  failed: ImportFailure[]
  /** Files whose backup was taken, because they were missing or not whole. */
  recovered: string[]
  /** What holds no value: files of others, folders, writes that Baileys had not finished (`.tmp`); names that are none. */
  ignored: string[]
}

export interface ExportMultiFileOptions extends MigrationOptions {
  /** Takes the place of a folder that is not empty, if it is one of a multi-file store and nothing else. @default false */
  replace?: boolean
}

export interface ExportResult {
  /** Number of records written, by family. */
  records: { [family: string]: number }
}

/** Records by family: all of them, or those with given ids. A `KeyStore` is one, and so is the key store of every adapter. */
export type KeySource =
  | { list(family: never): AsyncIterable<readonly [id: string, value: unknown]> | Iterable<readonly [id: string, value: unknown]> | Promise<Iterable<readonly [id: string, value: unknown]>> }
  | { get(family: never, ids: string[]): { [id: string]: unknown } | Promise<{ [id: string]: unknown }> }

/**
 * Imports the folder that Baileys' `useMultiFileAuthState` writes into an empty account. The folder is never changed. Stop the socket on
 * it first. What is interrupted leaves an account without creds; running it again completes it.
 */
export function importMultiFile(folder: string, account: Account, options?: ImportMultiFileOptions): Promise<ImportResult>
/** Imports the records of another key store, and creds, into an empty account: all that it lists, or those named by `ids` or `names`. */
export function importKeys(source: KeySource, account: Account, options?: ImportKeysOptions): Promise<ImportResult>
/**
 * Writes an account, as of one moment, to a folder from which `useMultiFileAuthState` goes on. The folder is there when it is whole. Stop the
 * socket on the account first, and do not use both: a ratchet turns only once.
 */
export function exportMultiFile(account: Account, folder: string, options?: ExportMultiFileOptions): Promise<ExportResult>

/**
 * Opens a cask; what is already open in this process, in any thread, is shared. Whoever opens it again leaves `durability`,
 * `syncIntervalMs`, `cacheBytes` and `rollbackGuard` out or gives the same; the timeouts, `stallWarnMs`, `lockStacks`, `logger` and
 * `baileys` are each handle's own.
 */
export function openCask(options?: CaskOptions): Promise<Cask>
/** A cask that is already open in this process: a `Cask` stays itself; a path or name gives another handle to it. Opens nothing. */
export function attachCask(ref: Cask): Cask
export function attachCask(ref: null | undefined): undefined
export function attachCask(ref: Cask | string | null | undefined): Cask | undefined
/**
 * Hands a whole stock Baileys socket over to the cask's own transactions: `makeWASocket(withCask({ auth: state, ... }))`.
 * `auth.keys` must be the keys of a cask themselves. Generic, so that the config keeps its type. Without `makeSignalRepository` in the
 * config that of the installed Baileys is used; where it cannot be loaded, making the socket throws `ERR_CASK_BAILEYS_MISSING`.
 */
export function withCask<C extends { auth: { creds: unknown; keys: unknown } }>(config: C): C
/** Runs `work` outside of the transaction around this call, with all that begins in it: for handlers of events. */
export function detached<T>(work: () => T): T
/** Looks for damage in the folder of a cask that nobody has open, and keeps it from being opened meanwhile. Changes nothing. */
export function verifyCask(path: string, options?: VerifyOptions): Promise<VerifyReport>
/**
 * Writes everything that is intact in the folder of a cask to a new one at `target`, where nothing or an empty folder may be, and tells
 * what is lost. The damaged one stays as it is, and nobody may have it open.
 */
export function repairCask(path: string, target: string, options?: RepairOptions): Promise<RepairReport>
/**
 * Writes all records of a cask to a new one at `target`, where nothing or an empty folder may be, and reads them again before the new one
 * counts: to seal a plain cask, to unseal one, or to give it a new data key after the old one has leaked. The old one stays as it is, and
 * nobody may have it open.
 */
export function rewriteCask(path: string, target: string, options?: RewriteOptions): Promise<RewriteReport>
/**
 * Gives a sealed cask another key or passphrase. Nothing but one small file is written: backups made before open with the old key, and
 * whoever has the old key and a copy of that file has the data key. Nobody may have the cask open. After a crash exactly one of the two
 * keys opens it.
 */
export function changeEncryptionKey(path: string, options: ChangeKeyOptions): Promise<void>
/** Takes the place of Baileys' `useMultiFileAuthState`: give it a folder of its own, or an open cask. */
export function useCaskAuthState(target: string | Cask, options?: AuthStateOptions): Promise<AuthState>
