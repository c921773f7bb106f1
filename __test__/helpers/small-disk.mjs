// File systems of a few MB, each in a mount namespace of one child process: they go with it, and nobody else sees them.
import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { tempFolder } from './folders.mjs'
import { runProgram } from './script.mjs'

/** How a file system of so many MB is mounted at `$DISK`, with `$IMAGE` a path for its contents. */
const KINDS = {
  tmpfs: megabytes => `mount -t tmpfs -o size=${megabytes}m tmpfs "$DISK"`,
  ext4: megabytes => `truncate -s ${megabytes}M "$IMAGE" && mkfs.ext4 -q -m 0 -O ^has_journal "$IMAGE" && mount -o loop "$IMAGE" "$DISK"`,
}
/** A namespace of its own takes root, or a user namespace in which one is root. */
const NAMESPACES = [['--mount'], ['--map-root-user', '--mount']]

const commandFor = (namespace, kind, megabytes, program) => ['unshare', [...namespace, 'sh', '-c', `${KINDS[kind](megabytes)} && exec "$@"`, 'sh', ...program]]

const placeIn = folder => {
  const place = { DISK: join(folder, 'disk'), IMAGE: join(folder, 'image') }
  mkdirSync(place.DISK)
  return place
}

/** Runs a program with arguments on a file system of its own, whose path is in `$DISK`; skips the test where it may not have one. */
export async function runOnSmallDisk(t, { kind, megabytes }, program) {
  const refusals = []
  for (const namespace of NAMESPACES) {
    const env = { ...process.env, ...placeIn(tempFolder(t)) }
    const probe = spawnSync(...commandFor(namespace, kind, megabytes, ['true']), { env, encoding: 'utf8' })
    if (probe.status === 0) return runProgram(...commandFor(namespace, kind, megabytes, program), { env: { ...env, ...placeIn(tempFolder(t)) }, ms: 60_000 })
    refusals.push((probe.error?.message ?? probe.stderr).trim().split('\n').at(-1))
  }
  t.skip(`no ${kind} of its own for a process here: ${refusals.join('; ')}`)
  return undefined
}
