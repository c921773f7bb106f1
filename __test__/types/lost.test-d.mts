// A type that was lost on the way, to a package that is not installed, accepts everything and proves nothing. Compiled, never run.
import type { AppStateSyncKey, AuthCreds, AuthCredsLike, FamilyMap } from 'baileys-cask'

type IsAny<T> = 0 extends 1 & T ? true : false
export const lost: [IsAny<AuthCreds>, IsAny<AuthCredsLike>, IsAny<AppStateSyncKey>, IsAny<FamilyMap[keyof FamilyMap]>] = [false, false, false, false]
// @ts-expect-error -- creds are an object
export const creds: AuthCreds = 1
// @ts-expect-error -- so is an app state sync key
export const key: AppStateSyncKey = 1
export const keyData: Uint8Array | null | undefined = (undefined as unknown as AppStateSyncKey).keyData
