// Adds to the seeds what there is to start from before a fuzzer has run: values as the store and as Baileys write them. For when there is a
// new form: node seeds.mjs
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { encodedSamples, FAMILIES, fileSamples } from '../../__test__/hostile/decoders.mjs'

const write = (target, family, number, bytes) => {
  const folder = join(import.meta.dirname, 'seeds', target)
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, `${family}-${number}`), Buffer.concat([Buffer.of(FAMILIES.indexOf(family)), bytes]))
}

for (const family of FAMILIES) encodedSamples(family).forEach((bytes, number) => write('values', family, number, bytes))
fileSamples().forEach((bytes, number) => write('files', FAMILIES[number % FAMILIES.length], number, bytes))
