import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const benchFolder = join(dirname(fileURLToPath(import.meta.url)), '..')
/** Stores of a run live here: on the disk of the checkout, never on a tmpfs. */
export const workFolder = join(benchFolder, '.work')
export const resultsFolder = join(benchFolder, 'results')
export const docsFile = join(benchFolder, '..', 'docs', 'benchmark.md')
