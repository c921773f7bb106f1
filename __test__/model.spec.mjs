import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { openCask } from 'baileys-cask'
import { collect } from './helpers/casks.mjs'
import { tempFolder } from './helpers/folders.mjs'

const ACCOUNTS = ['a', 'b']
const FAMILIES = ['session', 'sender-key', 'sender-key-memory', 'lid-mapping', 'creds', 'other']
const IDS = ['1', '2', 'a/b', 'a__b', '__proto__', 'x'.repeat(300)]

// ---- what may happen ------------------------------------------------------------------------------------
const account = fc.constantFrom(...ACCOUNTS)
const family = fc.constantFrom(...FAMILIES)
const id = fc.constantFrom(...IDS)
const ids = fc.array(id, { maxLength: 8 })
const value = fc.oneof(
  { weight: 3, arbitrary: fc.nat().map(n => ({ n })) },
  fc.constantFrom('', 0, false, 'text', [], {}),
  fc.uint8Array({ maxLength: 40 }).map(bytes => Buffer.from(bytes)),
  fc.nat(400_000).map(size => Buffer.alloc(size, size)),
)
const records = fc.dictionary(id, fc.option(value, { nil: null, freq: 3 }), { maxKeys: 5 }).map(pairs => Object.fromEntries(Object.entries(pairs)))
const data = fc.dictionary(family, records, { maxKeys: 3 }).map(pairs => Object.fromEntries(Object.entries(pairs)))
const creds = fc.tuple(fc.nat(), fc.uint8Array({ maxLength: 32 })).map(([n, bytes]) => ({ n, key: Buffer.from(bytes) }))

const inside = [
  fc.record({ do: fc.constant('set'), data }), fc.record({ do: fc.constant('get'), family, ids }), fc.record({ do: fc.constant('list'), family }),
  fc.constant({ do: 'clear' }), fc.record({ do: fc.constant('setCreds'), creds }), fc.record({ do: fc.constant('refused'), data }),
]
const { work } = fc.letrec(tie => ({
  work: fc.array(fc.oneof({ maxDepth: 3, withCrossShrink: true }, ...inside.map(arbitrary => ({ arbitrary, weight: 3 })), { arbitrary: tie('nested'), weight: 2 }), { maxLength: 6 }),
  nested: fc.record({ do: fc.constant('nested'), work: tie('work'), fails: fc.boolean(), label: fc.option(fc.constantFrom('x', 'y'), { nil: undefined }), ambient: fc.boolean() }),
}))
const outside = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('set'), account, data }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('get'), account, family, ids }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('transaction'), account, work, fails: fc.boolean(), label: fc.option(fc.constantFrom('x', 'y'), { nil: undefined }), ambient: fc.boolean() }) },
  fc.record({ do: fc.constant('list'), account, family }),
  fc.record({ do: fc.constant('clear'), account }),
  fc.record({ do: fc.constant('saveCreds'), account, creds }),
  fc.record({ do: fc.constant('drop'), account }),
  fc.record({ do: fc.constant('refused'), account, data }),
  fc.record({ do: fc.constant('together'), account, all: fc.array(data, { minLength: 2, maxLength: 5 }) }),
  fc.constant({ do: 'flush' }),
  fc.constant({ do: 'reopen' }),
)

// ---- the model: plain maps ------------------------------------------------------------------------------
const emptyAccount = () => ({ creds: undefined, records: new Map() })
const copyOf = ({ creds, records }) => ({ creds, records: new Map(records) })
const keyOf = (family, id) => JSON.stringify([family, id])

function applyData(model, data) {
  for (const [family, values] of Object.entries(data)) {
    for (const [id, value] of Object.entries(values)) {
      if (value === null) model.records.delete(keyOf(family, id))
      else model.records.set(keyOf(family, id), value)
    }
  }
}
const modelGet = (model, family, ids) => new Map(ids.filter(id => model.records.has(keyOf(family, id))).map(id => [id, model.records.get(keyOf(family, id))]))
const modelList = (model, family) => new Map([...model.records].map(([key, value]) => [JSON.parse(key), value]).filter(([[of]]) => of === family).map(([[, id], value]) => [id, value]))
const sorted = map => [...map].sort(([a], [b]) => (a < b ? -1 : 1))

async function compareFamily(store, model, family) {
  assert.deepEqual(sorted(new Map(await collect(store.list(family)))), sorted(modelList(model, family)))
  assert.deepEqual((await collect(store.listIds(family))).sort(), [...modelList(model, family).keys()].sort())
}

async function runInside(keys, tx, model, step) {
  // The handle and the store's own methods must do the same.
  const store = step.ambient === false ? tx : keys
  switch (step.do) {
    case 'set':
      await store.set(step.data)
      return applyData(model, step.data)
    case 'get':
      return assert.deepEqual(sorted(new Map(Object.entries(await tx.get(step.family, step.ids)))), sorted(modelGet(model, step.family, step.ids)))
    case 'list':
      return compareFamily(store, model, step.family)
    case 'clear':
      await store.clear()
      return model.records.clear()
    case 'setCreds':
      await tx.setCreds(step.creds)
      model.creds = step.creds
      return undefined
    case 'refused':
      return assert.rejects(store.set({ ...step.data, 'pre-key': { bad: NaN } }), TypeError)
    default:
      return runTransaction(store, keys, model, step)
  }
}

async function runTransaction(store, keys, model, { work, fails, label, ambient }) {
  const staged = copyOf(model)
  const mine = new Error('on purpose')
  const end = store.transaction(async tx => {
    for (const step of work) await runInside(keys, tx, staged, { ambient, ...step })
    if (fails) throw mine
    return staged
  }, label)
  if (fails) await assert.rejects(end, error => error === mine)
  else assert.equal(await end, staged)
  if (!fails) Object.assign(model, staged)
}

async function play(options, steps) {
  let cask = await openCask(options)
  try {
    const model = Object.fromEntries(ACCOUNTS.map(name => [name, emptyAccount()]))
    const compareAll = async () => {
      for (const name of ACCOUNTS) {
        const account = cask.account(name)
        assert.deepEqual(await account.loadCreds(), model[name].creds)
        for (const family of FAMILIES) await compareFamily(account.keys, model[name], family)
      }
      assert.deepEqual(await cask.accounts(), ACCOUNTS.filter(name => model[name].creds || model[name].records.size > 0))
    }
    for (const step of steps) {
      const account = step.account && cask.account(step.account)
      const expected = model[step.account]
      switch (step.do) {
        case 'set':
          await account.keys.set(step.data)
          applyData(expected, step.data)
          break
        case 'together':
          await Promise.all(step.all.map(account.keys.set))
          for (const data of step.all) applyData(expected, data)
          break
        case 'get':
          assert.deepEqual(sorted(new Map(Object.entries(await account.keys.get(step.family, step.ids)))), sorted(modelGet(expected, step.family, step.ids)))
          break
        case 'list':
          await compareFamily(account.keys, expected, step.family)
          break
        case 'clear':
          await account.keys.clear()
          expected.records.clear()
          break
        case 'saveCreds':
          await account.saveCreds(step.creds)
          expected.creds = step.creds
          break
        case 'drop':
          await account.drop()
          model[step.account] = emptyAccount()
          break
        case 'refused':
          await assert.rejects(account.keys.set({ ...step.data, 'pre-key': { bad: NaN } }), TypeError)
          break
        case 'transaction':
          await runTransaction(account.keys, account.keys, expected, step)
          break
        case 'flush':
          await cask.flush()
          break
        case 'reopen':
          if (!options.path) break
          await cask.close()
          cask = await openCask(options)
          assert.deepEqual(cask.recovery, { cutBytes: 0, cutFrames: 0 })
          await compareAll()
      }
    }
    await compareAll()
    if (options.path) {
      await cask.close()
      cask = await openCask(options)
      await compareAll()
    }
  } finally {
    await cask.close()
  }
}

describe('random operations do what they do to a plain map', () => {
  const steps = fc.array(outside, { maxLength: 25, size: 'max' })
  const check = (options, numRuns) => fc.assert(fc.asyncProperty(steps, steps => play(options(), steps)), { numRuns, endOnFailure: false, interruptAfterTimeLimit: 40_000, markInterruptAsFailure: false })

  test('in memory', () => check(() => ({}), 300))

  for (const [name, more, runs] of [['in a folder', {}, 150], ['in a folder without cache', { cacheBytes: 0 }, 100], ['in a folder, power-safe', { durability: 'power' }, 60]]) {
    test(name, async t => {
      const folder = tempFolder(t)
      let last
      let number = 0
      await check(() => {
        // Folders go as soon as the next begins: a failing one is kept until then.
        if (last) rmSync(last, { recursive: true, force: true })
        last = join(folder, String(number++))
        return { path: last, ...more }
      }, runs)
    })
  }
})
