#!/usr/bin/env node
import { createRequire } from 'node:module'

const isInstalled = () => {
  try {
    return Boolean(createRequire(import.meta.url).resolve('baileys/package.json'))
  } catch {
    return false
  }
}

if (!isInstalled()) {
  console.error('The packages of the benchmark are not installed: run `npm ci` in bench/ first.')
  process.exit(1)
}

const { main } = await import('./lib/main.mjs')
try {
  await main()
} catch (error) {
  const isForPeople = error.name === 'Error' || error.code?.startsWith('ERR_PARSE_ARGS')
  console.error(`\n${isForPeople ? error.message : error.stack}`)
  process.exitCode = 1
}
