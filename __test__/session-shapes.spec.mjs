import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { openCask } from 'baileys-cask'

const chain = (counter, key, messageKeys = {}) => ({ chainKey: key === undefined ? { counter } : { counter, key }, chainType: 2, messageKeys })

/** A session as libsignal's `serialize()` makes it, new each time. */
const session = () => ({
  _sessions: {
    base: {
      registrationId: 7,
      currentRatchet: {
        ephemeralKeyPair: { pubKey: 'pub', privKey: 'priv' },
        lastRemoteEphemeralKey: 'remote',
        previousCounter: 1,
        rootKey: 'root'
      },
      indexInfo: { baseKey: 'base', baseKeyType: 1, closed: -1, used: 1735689600000, created: 2 ** 40 + 127, remoteIdentityKey: 'identity' },
      _chains: { one: chain(3, 'key', { 5: 'skipped', 6: 'skipped too' }), two: chain(4) },
      pendingPreKey: { signedKeyId: 1, baseKey: 'pending', preKeyId: 2 }
    }
  },
  version: 'v1'
})

/** Every object in a session, by the keys that lead to it. */
function placesIn(value, path = []) {
  const inside = Object.entries(value).filter(([, inner]) => typeof inner === 'object')
  return [path, ...inside.flatMap(([key, inner]) => placesIn(inner, [...path, key]))]
}
const PLACES = placesIn(session())

/** A session in which the object at a place is another one. */
function withOther(path, other) {
  if (path.length === 0) return other(session())
  const value = session()
  const around = path.slice(0, -1).reduce((object, key) => object[key], value)
  const key = path.at(-1)
  around[key] = other(around[key])
  return value
}

const describePlace = path => path.join('.') || 'the session'

async function throughCask(value) {
  const cask = await openCask()
  try {
    const { keys } = cask.account()
    await keys.set({ session: { id: value } })
    return (await keys.get('session', ['id'])).id
  } finally {
    await cask.close()
  }
}

describe('an object in a session that is no plain one', () => {
  test('comes back as what its toJSON makes, wherever it stands', async () => {
    class Converted {
      constructor(fields) {
        Object.assign(this, fields)
      }

      toJSON() {
        return 'converted'
      }
    }
    for (const path of PLACES) {
      const value = withOther(path, fields => new Converted(fields))
      assert.deepStrictEqual(await throughCask(value), JSON.parse(JSON.stringify(value)), describePlace(path))
    }
  })

  test('comes back as what the toJSON of skipped message keys makes, also where no key shows it', async () => {
    const hidden = fields => Object.defineProperty(fields, 'toJSON', { value: () => 'converted' })
    const value = withOther(['_sessions', 'base', '_chains', 'one', 'messageKeys'], hidden)
    assert.deepStrictEqual(await throughCask(value), JSON.parse(JSON.stringify(value)))
  })

  test('comes back as a plain one where it has no prototype or one of a class', async () => {
    class Named {}
    for (const prototype of [null, Named.prototype]) {
      for (const path of PLACES) {
        assert.deepStrictEqual(await throughCask(withOther(path, fields => Object.setPrototypeOf(fields, prototype))), session(), describePlace(path))
      }
    }
  })

  test('is refused, with its place, where it would lose what it holds', async () => {
    for (const path of PLACES) {
      const value = withOther(path, fields => Object.assign(new Map([[1, 2]]), fields))
      await assert.rejects(throughCask(value), { code: 'ERR_CASK_INVALID_ARGUMENT', argument: ["session['id']", ...path].join('.') }, describePlace(path))
    }
  })
})

describe('a session of unusual size', () => {
  test('numbers of every length come back', async () => {
    for (let bits = 0; bits <= 52; bits++) {
      for (const number of [2 ** bits - 1, 2 ** bits, -(2 ** bits), Math.floor(2 ** bits * 0.7310585786)]) {
        const value = withOther(['_sessions', 'base', 'indexInfo'], index => ({ ...index, used: number }))
        assert.deepStrictEqual(await throughCask(value), value, String(number))
      }
    }
  })

  test('as many chains as there are come back, in their order', async () => {
    for (const count of [0, 1, 9, 10, 11, 12, 40, 500]) {
      const chains = Object.fromEntries(Array.from({ length: count }, (_, i) => [`chain ${count - i}`, chain(i, `key ${i}`)]))
      const back = await throughCask(withOther(['_sessions', 'base', '_chains'], () => chains))
      assert.deepStrictEqual(back._sessions.base._chains, chains)
      assert.deepStrictEqual(Object.keys(back._sessions.base._chains), Object.keys(chains))
    }
  })
})
