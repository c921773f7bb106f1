// A cask goes wherever Baileys 6.7 takes a store. Compiled, never run.
import {
  addTransactionCapability, DEFAULT_CONNECTION_CONFIG, initAuthCreds, makeCacheableSignalKeyStore, useMultiFileAuthState,
  type AuthenticationCreds, type AuthenticationState, type SignalAuthState, type SignalDataTypeMap, type SignalKeyStore, type SignalKeyStoreWithTransaction, type UserFacingSocketConfig,
} from '@whiskeysockets/baileys'
import * as baileys from '@whiskeysockets/baileys'
import { importKeys, openCask, useCaskAuthState, withCask, type AuthState, type FamilyMap, type KeyStore, type Logger, type Transaction } from 'baileys-cask'

declare const keys: KeyStore
declare const tx: Transaction
declare const auth: AuthState
declare const logger: Logger

export const store: SignalKeyStore = keys
export const transactional: SignalKeyStoreWithTransaction = keys
export const insideTransactional: SignalKeyStoreWithTransaction = tx
export const authenticationState: AuthenticationState = auth.state
export const signalState: SignalAuthState = auth.state
export const creds: AuthenticationCreds = auth.state.creds
export const wrapped: SignalKeyStoreWithTransaction = addTransactionCapability(keys, logger, { maxCommitRetries: 1, delayBetweenTriesMs: 1 })
export const cached: SignalKeyStore = makeCacheableSignalKeyStore(keys, logger)
export const config: UserFacingSocketConfig = withCask({ auth: auth.state, logger, makeSignalRepository: DEFAULT_CONNECTION_CONFIG.makeSignalRepository })

/** The same bot on either store: one line changes. */
async function bot(useAuthState: (folder: string) => Promise<{ state: AuthenticationState; saveCreds: () => Promise<void> }>) {
  const { state, saveCreds } = await useAuthState('folder')
  state.creds.nextPreKeyId++
  await saveCreds()
}
await bot(useMultiFileAuthState)
await bot(useCaskAuthState)

type Same<A, B> = [A] extends [B] ? true : false
export const families: Same<keyof SignalDataTypeMap, keyof FamilyMap> = true
export const fits: { [F in keyof SignalDataTypeMap]: Same<FamilyMap[F], SignalDataTypeMap[F]> } = {
  'pre-key': true, session: true, 'sender-key': true, 'sender-key-memory': true, 'app-state-sync-key': true, 'app-state-sync-version': true,
}

const cask = await openCask({ path: 'folder', logger, baileys })
await cask.account().saveCreds(initAuthCreds())
export const loaded: AuthenticationCreds | undefined = await cask.account().loadCreds()
const multiFile = await useMultiFileAuthState('folder')
await importKeys(multiFile.state.keys, cask.account(), { creds: multiFile.state.creds })
await transactional.transaction(async () => {})

// @ts-expect-error -- ids are an array
await keys.get('session', 'a')
// @ts-expect-error -- a key pair has both halves
await keys.set({ 'pre-key': { a: { public: new Uint8Array(32) } } })
// @ts-expect-error -- creds are an object
await cask.account().saveCreds('creds')
