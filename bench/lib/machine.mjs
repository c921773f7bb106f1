import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import os from 'node:os'
import { workFolder } from './paths.mjs'

const require = createRequire(import.meta.url)

const versionOf = name => {
  // Packages whose `exports` hide package.json are found through their folder.
  for (const folder of require.resolve.paths(name)) {
    try {
      return JSON.parse(readFileSync(`${folder}/${name}/package.json`, 'utf8')).version
    } catch {}
  }
  return 'not installed'
}

/** Type of the file system that holds the stores of a run. */
const fileSystem = () => {
  try {
    const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n').map(line => line.split(' '))
    const holding = mounts
      .filter(([, point]) => point === '/' || workFolder === point || workFolder.startsWith(`${point}/`))
      .sort((a, b) => a[1].length - b[1].length)
    return holding.at(-1)[2]
  } catch {
    return 'unknown file system'
  }
}

export const describeMachine = () => {
  const cpus = os.cpus()
  return {
    cpu: cpus[0]?.model.trim() ?? 'unknown', cores: cpus.length,
    memoryGiB: Math.round(os.totalmem() / 2 ** 30),
    system: `${os.type()} ${os.release().split('-')[0]} ${os.arch()}`,
    fileSystem: fileSystem(),
    node: process.version,
    load: os.loadavg()[0],
    versions: {
      baileys: versionOf('baileys'), libsignal: versionOf('libsignal'),
      'better-sqlite3': versionOf('better-sqlite3'), lmdb: versionOf('lmdb')
    }
  }
}

export const machineLine = machine =>
  `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.system}, ${machine.fileSystem}, Node ${machine.node}; ` +
  Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`).join(', ')
