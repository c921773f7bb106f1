import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { withCask } from 'baileys-cask'
import { open } from './helpers/casks.mjs'

/** What makers of sockets do with a config. */
function read(config) {
  const { auth: { creds, keys }, options, makeSignalRepository, ...rest } = { ...config }
  return { creds, keys, headers: options?.headers, makeSignalRepository: typeof makeSignalRepository, rest }
}

describe('a config of frozen objects is the same to the maker of a socket inside a transaction and outside', () => {
  const CONFIGS = {
    'the auth': auth => withCask({ auth: Object.freeze(auth), browser: 'mine' }),
    'all that goes into withCask': auth => withCask(Object.freeze({ auth: Object.freeze(auth), browser: 'mine', options: Object.freeze({ headers: { a: 1 } }) })),
    'what comes out of withCask': auth => Object.freeze(withCask({ auth, browser: 'mine' })),
  }
  for (const [what, make] of Object.entries(CONFIGS)) test(what, async t => {
    const cask = await open(t)
    const { keys } = cask.account()
    const config = make({ creds: { of: 'me' }, keys })
    const outside = read(config)
    assert.deepEqual([outside.creds, outside.keys === keys, outside.makeSignalRepository], [{ of: 'me' }, true, 'function'])
    assert.deepEqual(await keys.transaction(() => read(config)), outside)
  })
})
