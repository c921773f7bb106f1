// Backup, compaction, verification and repair. Compiled, never run.
import { openCask, repairCask, rewriteCask, verifyCask, type Cask, type RepairReport, type VerifyReport } from 'baileys-cask'

declare const cask: Cask
const backup = await cask.backup('/backup', { hardLinks: true, signal: new AbortController().signal })
const path: string = backup.path
const copied: number = backup.segments.copied + backup.segments.cloned + backup.segments.linked
const { bytesBefore, bytesAfter } = await cask.compact()
const saved: number = bytesBefore - bytesAfter
const report: VerifyReport = await verifyCask('/cask', { signal: new AbortController().signal })
for (const { records, hasCreds, doubtful } of Object.values(report.accounts)) void [records + doubtful, hasCreds satisfies boolean]
for (const { account, losesRecords, records } of report.damages) void [account satisfies string | undefined, losesRecords satisfies boolean, records[0]?.type]
const repaired: RepairReport = await repairCask('/cask', '/fixed', { doubtful: 'omit-ratchets', signal: new AbortController().signal })
const rewritten: number | undefined = (await rewriteCask('/cask', '/sealed', { newEncryptionKey: 'words', signal: new AbortController().signal })).accounts['default']?.records
const omitted: string | undefined = repaired.accounts['default']?.omitted[0]?.id
await openCask({ path: '/cask', rollbackGuard: '/var/lib/seen.json' })
void [path, copied, saved, omitted, rewritten]

// @ts-expect-error -- a backup needs a place
void cask.backup()
// @ts-expect-error -- no such option
void cask.backup('/backup', { compress: true })
// @ts-expect-error -- no such way
void repairCask('/cask', '/fixed', { doubtful: 'maybe' })
// @ts-expect-error -- a repair needs a place
void repairCask('/cask')
// @ts-expect-error -- a path
void openCask({ path: '/cask', rollbackGuard: true })
