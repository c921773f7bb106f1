// A cask goes wherever Baileys takes a store. Compiled, never run.
import {
  addTransactionCapability,
  makeCacheableSignalKeyStore,
  type AuthenticationCreds,
  type AuthenticationState,
  type SignalDataTypeMap,
  type SignalKeyStore,
  type SignalKeyStoreWithTransaction,
  type UserFacingSocketConfig,
  useMultiFileAuthState,
} from 'baileys'
import * as baileys from 'baileys'
import {
  exportMultiFile, importKeys, importMultiFile, openCask, useCaskAuthState, type ExportResult, type ImportResult, type AppStateSyncKey, type AuthCreds, type AuthCredsLike, type AuthState, type FamilyMap, type KeyStore, type Logger, type Transaction,
} from 'baileys-cask'

declare const keys: KeyStore
declare const tx: Transaction
declare const auth: AuthState
declare const logger: Logger

// ---- assignability --------------------------------------------------------------------------------------
export const store: SignalKeyStore = keys
export const transactional: SignalKeyStoreWithTransaction = keys
export const insideStore: SignalKeyStore = tx
export const insideTransactional: SignalKeyStoreWithTransaction = tx
export const authenticationState: AuthenticationState = auth.state
export const creds: AuthenticationCreds = auth.state.creds
export const config: Pick<UserFacingSocketConfig, 'auth'> = { auth: auth.state }
export const wrapped: SignalKeyStoreWithTransaction = addTransactionCapability(keys, logger, { maxCommitRetries: 1, delayBetweenTriesMs: 1 })
export const cached: SignalKeyStore = makeCacheableSignalKeyStore(keys, logger)

/** The same bot on either store: one line changes. */
async function bot(useAuthState: (folder: string) => Promise<{ state: AuthenticationState; saveCreds: () => Promise<void> }>) {
  const { state, saveCreds } = await useAuthState('folder')
  state.creds.nextPreKeyId++
  await saveCreds()
}
await bot(useMultiFileAuthState)
await bot(useCaskAuthState)

// ---- no hole ------------------------------------------------------------------------------------------
/** A type that was lost on the way, to a package that is not installed, accepts everything and proves nothing. */
type IsAny<T> = 0 extends 1 & T ? true : false
export const lost: [IsAny<AuthCreds>, IsAny<AuthCredsLike>, IsAny<AppStateSyncKey>, IsAny<FamilyMap[keyof FamilyMap]>] = [false, false, false, false]

// ---- values ---------------------------------------------------------------------------------------------
/** Every family of Baileys is one of ours, with a type that fits both ways. */
type Same<A, B> = [A] extends [B] ? true : false
export const families: Same<keyof SignalDataTypeMap, keyof FamilyMap> = true
const fits: { [F in keyof SignalDataTypeMap]: Same<FamilyMap[F], SignalDataTypeMap[F]> } = {
  'pre-key': true, session: true, 'sender-key': true, 'sender-key-memory': true, 'app-state-sync-key': true,
  'app-state-sync-version': true, 'lid-mapping': true, 'device-list': true, tctoken: true, 'identity-key': true,
}
void fits

const sessions: { [id: string]: Uint8Array } = await keys.get('session', ['a'])
const preKeys = await keys.get('pre-key', ['1'])
export const publicKey: Uint8Array | undefined = preKeys['1']?.public
export const mapping: string | undefined = (await keys.get('lid-mapping', ['a']))['a']
void sessions

await keys.set({ session: { a: new Uint8Array(1), b: null, c: undefined }, 'device-list': { a: ['0'] } })
await keys.set({ 'my own family': { a: { anything: [1, 'two'] } } })
await keys.set({})
for await (const [id, value] of keys.list('device-list')) value.includes(id)
for await (const id of keys.listIds('my own family')) id.toUpperCase()
const own: { [id: string]: unknown } = await keys.get('my own family', ['a'])
for await (const [id, value] of keys.list('my own family')) void [id.toUpperCase(), value === own[id]]
// @ts-expect-error -- what a family of one's own holds is for its owner to say
own['a'].anything

// ---- transactions ---------------------------------------------------------------------------------------
export const result: number = await keys.transaction(async inside => {
  await inside.set({ 'lid-mapping': { a: 'b' } })
  await inside.setCreds(auth.state.creds)
  const text: string = await inside.transaction(async () => 'text', 'label')
  return text.length
})
await keys.transaction(async () => {}, 'label')
export const isInside: boolean = keys.isInTransaction() && tx.isInTransaction()

// ---- casks ----------------------------------------------------------------------------------------------
{
  await using cask = await openCask({ path: 'folder', durability: 'power', logger, baileys })
  const account = cask.account()
  const loaded: AuthenticationCreds | undefined = await account.loadCreds()
  if (loaded) await account.saveCreds(loaded)
  const state = await useCaskAuthState(cask, { account: 'a', baileys })
  const sameState: AuthenticationState = state.state
  void sameState
}

// ---- moving in and out ------------------------------------------------------------------------------------
{
  const cask = await openCask()
  const stop = new AbortController()
  const result: ImportResult = await importMultiFile('folder', cask.account(), {
    dryRun: true, skipFailed: false, families: ['mine'], signal: stop.signal, onProgress: ({ done, total }) => void (done + (total ?? 0)),
  })
  for (const { file, type, id, reason } of result.failed) {
    const named: string | undefined = file ?? id ?? type
    if (reason === 'torn') void named
    // @ts-expect-error -- no such reason
    if (reason === 'broken') void named
  }
  const sessions: number | undefined = result.records['session']
  void sessions
  const multiFile = await useMultiFileAuthState('folder')
  await importKeys(multiFile.state.keys, cask.account(), { creds: multiFile.state.creds, names: new Set(['session-a']), ids: { session: ['a'] } })
  await importKeys(cask.account('a').keys, cask.account(), { creds: auth.state.creds })
  await importKeys({ list: async function* (family: string) { yield [family, 1] as const } }, cask.account())
  const exported: ExportResult = await exportMultiFile(cask.account(), 'folder', { replace: true, signal: stop.signal })
  const of: { [family: string]: number } = exported.records
  void of
  await useCaskAuthState('folder', { importFrom: 'auth_info_baileys' })
  await useCaskAuthState(cask, { importFrom: 'auth_info_baileys' })
  // @ts-expect-error -- the folder comes first
  await importMultiFile(cask.account(), 'folder')
  // @ts-expect-error -- an account, not a cask
  await importMultiFile('folder', cask)
  // @ts-expect-error -- unknown option
  await importMultiFile('folder', cask.account(), { force: true })
  // @ts-expect-error -- a key store, not a folder
  await importKeys('folder', cask.account())
  // @ts-expect-error -- names are many
  await importKeys(multiFile.state.keys, cask.account(), { names: 5 })
  // @ts-expect-error -- the account comes first
  await exportMultiFile('folder', cask.account())
  // @ts-expect-error -- a path
  await useCaskAuthState('folder', { importFrom: cask })
}

// ---- what must not compile ------------------------------------------------------------------------------
// @ts-expect-error -- ids are an array
await keys.get('session', 'a')
// @ts-expect-error -- ids are strings
await keys.get('session', [1])
// @ts-expect-error -- absent ids are left out, so a value may be undefined
export const definitelyThere: string = (await keys.get('lid-mapping', ['a']))['a']
// @ts-expect-error -- a lid mapping is a string
await keys.set({ 'lid-mapping': { a: 1 } })
// @ts-expect-error -- a key pair has both halves
await keys.set({ 'pre-key': { a: { public: new Uint8Array(32) } } })
// @ts-expect-error -- values are by family and by id
await keys.set({ session: new Uint8Array(1) })
// @ts-expect-error -- work returns a promise
await keys.transaction(() => 1)
// @ts-expect-error -- a label is a string
await keys.transaction(async () => {}, 1)
// @ts-expect-error -- unknown option
await keys.transaction(async () => {}, 'label', { timeoutSeconds: 1 })
// @ts-expect-error -- only a transaction sets creds with its commit
await keys.setCreds(auth.state.creds)
// @ts-expect-error -- unknown option
await openCask({ pth: 'folder' })
// @ts-expect-error -- one of two words
await openCask({ path: 'folder', durability: 'disk' })
// @ts-expect-error -- a number of milliseconds
await openCask({ path: 'folder', syncIntervalMs: '1000' })
// @ts-expect-error -- the module, not a creds object
await openCask({ path: 'folder', baileys: auth.state.creds })
// @ts-expect-error -- the target says where the cask is
await useCaskAuthState('folder', { path: 'folder' })
// @ts-expect-error -- a target is a must
await useCaskAuthState()
// @ts-expect-error -- creds are an object
await auth.account.saveCreds('creds')
// @ts-expect-error -- accounts are handles, not constructed
auth.account.keys = keys
