import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterwards } from './cleanup.mjs'

const CHANNELS = ['stall', 'stall-end', 'doomed', 'joined']

/** Everything that is published on the package's channels until the test ends, in order: `{ on, ...message }`. */
export function published(t) {
  const heard = []
  for (const name of CHANNELS) {
    const listen = message => heard.push({ on: name, ...message })
    subscribe(`baileys-cask:${name}`, listen)
    afterwards(t, () => unsubscribe(`baileys-cask:${name}`, listen))
  }
  return heard
}

/** A logger that keeps what it is told as `{ level, facts, words }`. */
export function keepingLogger() {
  const told = []
  const logger = Object.fromEntries(['trace', 'debug', 'info', 'warn', 'error'].map(level => [level, (facts, words) => void told.push({ level, facts, words })]))
  return { told, logger: { ...logger, level: 'trace', child: () => logger } }
}
