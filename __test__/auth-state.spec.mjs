import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { BufferJSON, initAuthCreds, proto, useMultiFileAuthState } from 'baileys'
import { attachCask, openCask, useCaskAuthState } from 'baileys-cask'
import { open, recordsOf } from './helpers/casks.mjs'
import { newPath, tempFolder } from './helpers/folders.mjs'
import { startChild, startWorker } from './helpers/remote.mjs'
import { keepingLogger } from './helpers/reports.mjs'
import { runScript } from './helpers/script.mjs'

const PACKAGE = fileURLToPath(new URL('..', import.meta.url))

/** What a bot does with its auth state; only the first line differs between the two stores. */
async function bot(useAuthState, folder, change) {
  const { state, saveCreds } = await useAuthState(folder)
  await change(state)
  await saveCreds()
  return state
}

/** Without properties that are `undefined`, which JSON does not keep. */
const kept = value => JSON.parse(JSON.stringify(value, BufferJSON.replacer), BufferJSON.reviver)

/** Opens and closes an auth state, for tests that end. */
async function openState(t, ...call) {
  const state = await useCaskAuthState(...call)
  t.after(() => state.close())
  return state
}

describe('in the place of useMultiFileAuthState', () => {
  test('the same calls leave the same creds and the same keys, also after reopening', async t => {
    const change = async ({ creds, keys }) => {
      creds.me ??= { id: '15550100001:1@s.whatsapp.net', lid: '1@lid', name: 'Ada' }
      creds.nextPreKeyId++
      creds.processedHistoryMessages.push({ key: { id: 'x', fromMe: false }, messageTimestamp: 1 })
      creds.absent = undefined
      await keys.set({
        'pre-key': { [creds.nextPreKeyId]: { public: Buffer.alloc(32, 1), private: Buffer.alloc(32, 2) } },
        'app-state-sync-key': { key: proto.Message.AppStateSyncKeyData.fromObject({ keyData: Buffer.alloc(32, 3), timestamp: 1_700_000_000_000, fingerprint: { rawId: 1, deviceIndexes: [0, 1] } }) },
        'sender-key-memory': { group: { 'a@lid': true } },
        'device-list': { user: ['0', '1'] },
        session: { gone: null },
      })
    }
    const fixed = initAuthCreds()
    const folders = { ours: newPath(t), theirs: tempFolder(t) }
    // One identity for both, as if it had been paired.
    const first = await openState(t, folders.ours, { baileys: { initAuthCreds: () => fixed } })
    mkdirSync(folders.theirs, { recursive: true })
    writeFileSync(join(folders.theirs, 'creds.json'), JSON.stringify(fixed, BufferJSON.replacer))
    await first.close()

    for (let round = 0; round < 2; round++) {
      let close
      await bot(async folder => {
        const opened = await useCaskAuthState(folder)
        close = opened.close
        return opened
      }, folders.ours, change)
      await bot(useMultiFileAuthState, folders.theirs, change)
      await close()
    }
    const ours = await openState(t, folders.ours)
    const { state: theirs } = await useMultiFileAuthState(folders.theirs)
    assert.deepEqual(kept(ours.state.creds), kept(theirs.creds))
    assert.deepEqual(ours.state.creds, theirs.creds)
    for (const [family, ids] of Object.entries({
      'pre-key': ['2', '3'], 'sender-key-memory': ['group'], 'device-list': ['user'],
    })) assert.deepEqual(await ours.state.keys.get(family, ids), await theirs.keys.get(family, ids), family)
    const [key, theirKey] = await Promise.all([ours.state.keys, theirs.keys].map(keys => keys.get('app-state-sync-key', ['key'])))
    assert.deepEqual(proto.Message.AppStateSyncKeyData.encode(proto.Message.AppStateSyncKeyData.fromObject(key.key)).finish(), proto.Message.AppStateSyncKeyData.encode(theirKey.key).finish())
    assert.deepEqual(await ours.state.keys.get('session', ['gone']), {}, 'absent ids are left out, where the multi-file store says null')
  })

  test('fresh creds have what Baileys makes', async t => {
    const { state } = await openState(t, newPath(t))
    assert.deepEqual(Object.keys(state.creds).sort(), Object.keys(initAuthCreds()).sort())
    assert.ok(Buffer.isBuffer(Buffer.from(state.creds.noiseKey.private)) && state.creds.noiseKey.private.length === 32)
  })

  test('saveCreds saves state.creds as it is at the call, also when it was replaced', async t => {
    const path = newPath(t)
    const { state, saveCreds, account } = await openState(t, path)
    state.creds.nextPreKeyId = 7
    const saved = saveCreds()
    state.creds.nextPreKeyId = 8
    await saved
    assert.equal((await account.loadCreds()).nextPreKeyId, 7)
    state.creds = { ...state.creds, me: { id: 'new' } }
    await saveCreds()
    assert.deepEqual((await account.loadCreds()).me, { id: 'new' })
  })

  test('with proto at hand app state sync keys come back as Baileys\' messages', async t => {
    const { state } = await openState(t, newPath(t), { baileys: { initAuthCreds, proto } })
    await state.keys.set({ 'app-state-sync-key': { a: { keyData: Buffer.alloc(32, 1), timestamp: 5 } } })
    const { a } = await state.keys.get('app-state-sync-key', ['a'])
    assert.ok(a instanceof proto.Message.AppStateSyncKeyData)
    assert.deepEqual(Buffer.from(a.keyData), Buffer.alloc(32, 1))
  })

  test('user code that decodes with proto may use the store meanwhile', async t => {
    let inner
    const meddling = { Message: { AppStateSyncKeyData: { fromObject: value => {
      inner ??= keys.get('session', ['a']).then(found => keys.set({ session: { b: found.a } }))
      return { seen: value.keyData }
    } } } }
    const { state: { keys } } = await openState(t, newPath(t), { baileys: { initAuthCreds, proto: meddling } })
    await keys.set({ 'app-state-sync-key': { a: { keyData: Buffer.alloc(32, 1) }, b: { keyData: Buffer.alloc(32, 2) } }, session: { a: { n: 1 } } })
    assert.deepEqual(await keys.get('app-state-sync-key', ['a', 'b']), { a: { seen: Buffer.alloc(32, 1) }, b: { seen: Buffer.alloc(32, 2) } })
    await inner
    assert.deepEqual(await keys.get('session', ['b']), { b: { n: 1 } })
  })
})

describe('importFrom for an account that has creds', () => {
  const linked = { me: { id: '15550100001:1@s.whatsapp.net', name: 'Ada' } }

  test('is passed over in silence where they are linked, and with a warning where nobody has linked them', async t => {
    for (const [creds, warns] of [[{}, true], [linked, false]]) {
      const path = newPath(t)
      const { told, logger } = keepingLogger()
      const first = await useCaskAuthState(path)
      Object.assign(first.state.creds, creds)
      await first.saveCreds()
      await first.close()
      const second = await useCaskAuthState(path, { importFrom: '/the/old/folder', logger })
      assert.equal(second.state.creds.registrationId, first.state.creds.registrationId)
      await second.close()
      assert.deepEqual(told.map(({ level, facts }) => [level, facts]), warns ? [['warn', { account: 'default', importFrom: '/the/old/folder' }]] : [])
      for (const { words } of told) assert.match(words, /never linked.*was not imported.*drop\(\)/)
    }
  })
})

describe('one state', () => {
  test('the same path and account give the same state until it is closed', async t => {
    const path = newPath(t)
    const [a, b] = await Promise.all([useCaskAuthState(path), useCaskAuthState(path)])
    assert.equal(a, b)
    assert.equal(await useCaskAuthState(`${path}/../cask`), a)
    const other = await openState(t, path, { account: 'other' })
    assert.notEqual(other, a)
    assert.notDeepEqual(other.state.creds.noiseKey, a.state.creds.noiseKey)
    a.state.creds.me = { id: 'x' }
    await a.saveCreds()
    await a.close()
    await assert.rejects(a.state.keys.get('session', ['a']), { code: 'ERR_CASK_CLOSED' })
    await assert.rejects(a.saveCreds(), { code: 'ERR_CASK_CLOSED' })
    const again = await openState(t, path)
    assert.notEqual(again, a)
    assert.deepEqual(again.state.creds.me, { id: 'x' })
    await a.close()
    assert.equal(await useCaskAuthState(path), again, 'closing the old one again does not end the new one')
    await again.saveCreds()
  })

  test('calling it again and again keeps no handles: one close lets the folder go', async t => {
    const path = newPath(t)
    for (let n = 0; n < 5; n++) await useCaskAuthState(path)
    const { close } = await useCaskAuthState(path)
    await close()
    const child = await startChild(t)
    await child.run(async ({ openCask }, path) => (await openCask({ path })).close(), path)
  })

  test('one that is asked for while the one before is closed can be used, whenever that is', async t => {
    for (let turns = 0; turns < 40; turns++) {
      const path = newPath(t)
      const before = await useCaskAuthState(path)
      const asking = useCaskAuthState(path)
      let isThere = false
      asking.then(() => (isThere = true))
      for (let left = turns; left > 0 && !isThere; left--) await (left % 2 ? undefined : new Promise(setImmediate))
      if (isThere) {
        await before.close()
        continue
      }
      const closing = before.close()
      const { state, saveCreds, close } = await asking
      await saveCreds()
      assert.deepEqual(await state.keys.get('session', ['a']), {})
      await Promise.all([closing, close()])
      assert.throws(() => attachCask(path), { code: 'ERR_CASK_CLOSED' }, 'no handle is left')
    }
  })

  test('given a cask, close leaves it open, and each handle has states of its own', async t => {
    const path = newPath(t)
    const cask = await openCask({ path })
    const first = await useCaskAuthState(cask)
    assert.equal(await useCaskAuthState(cask), first)
    assert.equal(first.cask, cask)
    await first.close()
    await cask.account().keys.set({ session: { a: 1 } })
    const second = await useCaskAuthState(cask)
    assert.notEqual(second, first)
    assert.deepEqual(kept(second.state.creds), kept(first.state.creds))

    const handle = await open(t, { path })
    await cask.close()
    const third = await useCaskAuthState(handle)
    assert.deepEqual(kept(third.state.creds), kept(first.state.creds))
    assert.deepEqual(await third.state.keys.get('session', ['a']), { a: 1 }, 'a state of a handle that was closed must not be handed out')
    await assert.rejects(useCaskAuthState(cask), { code: 'ERR_CASK_CLOSED' })
  })

  test('a cask closed behind the back of its state is opened anew', async t => {
    const path = newPath(t)
    const keeper = await open(t, { path })
    const first = await useCaskAuthState(path)
    await first.cask.close()
    const second = await openState(t, path)
    assert.deepEqual(kept(second.state.creds), kept(first.state.creds))
    await second.saveCreds()
    assert.deepEqual(await keeper.accounts(), ['default'])
  })

  test('logout by drop: the next call makes a new identity', async t => {
    const path = newPath(t)
    const first = await useCaskAuthState(path)
    await first.state.keys.set({ session: { a: 1 } })
    await first.account.drop()
    await assert.rejects(first.saveCreds(), { code: 'ERR_CASK_DROPPED' })
    const second = await openState(t, path)
    assert.notDeepEqual(second.state.creds.noiseKey, first.state.creds.noiseKey)
    assert.deepEqual(await recordsOf(second.state.keys, 'session'), [])
    assert.equal(await useCaskAuthState(path), second)
    // It has given its handle to the second one.
    await first.close()
    await second.saveCreds()
    await second.close()
    const alone = await startChild(t)
    assert.equal(await alone.run(async ({ openCask }, path) => (await openCask({ path })).close().then(() => 'opened'), path), 'opened')
  })

  test('a state whose cask was closed is not kept', async t => {
    const path = newPath(t)
    const { shared: { states } } = createRequire(import.meta.url)('../js/context.js')
    const before = states.size
    for (let round = 0; round < 3; round++) {
      const { cask } = await useCaskAuthState(path)
      await cask.close()
    }
    assert.equal(states.size, before)
  })

  test('logout by removing the folder: the next call makes a new identity', async t => {
    const path = newPath(t)
    const first = await useCaskAuthState(path)
    await first.state.keys.set({ session: { a: 1 } })
    rmSync(path, { recursive: true, force: true })
    const second = await openState(t, path)
    assert.notDeepEqual(second.state.creds.noiseKey, first.state.creds.noiseKey)
    assert.deepEqual(await recordsOf(second.state.keys, 'session'), [])
    await assert.rejects(first.saveCreds(), { code: 'ERR_CASK_DETACHED' })
    await first.close()
    await second.saveCreds()
  })

  test('threads and handles that begin at once make one identity', async t => {
    const worker = await startWorker(t)
    for (let round = 0; round < 10; round++) {
      const path = newPath(t)
      const cask = await open(t, { path })
      const found = await Promise.all([
        worker.run(async ({ useCaskAuthState, kept }, path) => {
          const { state, close } = await useCaskAuthState(path)
          kept.close = close
          return state.creds.noiseKey.private
        }, path),
        useCaskAuthState(cask).then(({ state }) => state.creds.noiseKey.private),
        openState(t, path).then(({ state }) => state.creds.noiseKey.private),
      ])
      const [first, ...others] = found.map(key => Buffer.from(key).toString('hex'))
      for (const other of others) assert.equal(other, first)
      await worker.run(({ kept }) => kept.close())
    }
  })
})

describe('creds', () => {
  test('records without creds are an error that names the ways out, never a new identity', async t => {
    const path = newPath(t)
    const cask = await open(t, { path })
    await cask.account('lost').keys.set({ session: { a: 1 } })
    for (const target of [path, cask]) {
      await assert.rejects(useCaskAuthState(target, { account: 'lost' }), {
        name: 'CaskError', code: 'ERR_CASK_CREDS_MISSING', account: 'lost', retryable: false, message: /save its creds with account.saveCreds\(\), or start over with account.drop\(\)/,
      })
    }
    assert.equal(await cask.account('lost').loadCreds(), undefined)
    assert.deepEqual(await recordsOf(cask.account('lost').keys, 'session'), [['a', 1]])
    await cask.account('lost').saveCreds({ repaired: true })
    assert.deepEqual((await openState(t, path, { account: 'lost' })).state.creds, { repaired: true })
  })

  test('a state that could not be made leaves no handle behind', async t => {
    const path = newPath(t)
    const cask = await openCask({ path })
    await cask.account().keys.set({ session: { a: 1 } })
    await assert.rejects(useCaskAuthState(path))
    const broken = { initAuthCreds() { throw new Error('broken') } }
    await assert.rejects(useCaskAuthState(path, { account: 'x', baileys: broken }), /broken/)
    await assert.rejects(useCaskAuthState(path, { account: 'x', baileys: { initAuthCreds: () => undefined } }), { code: 'ERR_CASK_INVALID_ARGUMENT', argument: 'creds' })
    await cask.close()
    const child = await startChild(t)
    assert.deepEqual(await child.run(async ({ openCask }, path) => (await openCask({ path })).accounts(), path), ['default'])
  })

  test('the baileys option makes the creds, once', async t => {
    const path = newPath(t)
    let made = 0
    const baileys = { initAuthCreds: () => ({ number: ++made }) }
    const { state } = await openState(t, path, { baileys })
    const cask = await open(t)
    await useCaskAuthState(cask, { baileys })
    assert.deepEqual([state.creds, made], [{ number: 1 }, 2])
    assert.equal((await openState(t, path, { baileys })).state.creds.number, 1)
    assert.equal(made, 2)
  })

  test('inside a transaction that rolls back, fresh creds stay', async t => {
    const cask = await open(t)
    let creds
    await assert.rejects(cask.account().keys.transaction(async () => {
      creds = (await useCaskAuthState(cask)).state.creds
      throw new Error('rolled back')
    }, 'label'), /rolled back/)
    assert.deepEqual(await cask.account().loadCreds(), kept(creds))
  })

  test('fresh creds are on disk when the call returns: a kill right after loses nothing', async t => {
    for (let round = 0; round < 3; round++) {
      const path = newPath(t)
      const { stdout, signal } = await runScript(`
        import { writeSync } from 'node:fs'
        import { useCaskAuthState } from 'baileys-cask'
        const { state } = await useCaskAuthState(${JSON.stringify(path)}, { durability: '${round % 2 ? 'power' : 'process'}' })
        writeSync(1, Buffer.from(state.creds.noiseKey.private).toString('hex'))
        process.kill(process.pid, 'SIGKILL')`)
      assert.equal(signal, 'SIGKILL')
      assert.match(stdout, /^[0-9a-f]{64}$/)
      const { state } = await openState(t, path)
      assert.equal(Buffer.from(state.creds.noiseKey.private).toString('hex'), stdout)
    }
  })
})

describe('where Baileys comes from', () => {
  /** The package alone, in a folder from which no Baileys can be found. */
  function alone(t) {
    const folder = tempFolder(t)
    const home = join(folder, 'node_modules', 'baileys-cask')
    mkdirSync(home, { recursive: true })
    for (const name of ['index.js', 'index.mjs', 'package.json', 'binding.js', 'js', ...readdirSync(PACKAGE).filter(name => name.endsWith('.node'))]) {
      cpSync(join(PACKAGE, name), join(home, name), { recursive: true })
    }
    return folder
  }
  const install = (folder, name, source) => {
    const home = join(folder, 'node_modules', ...name.split('/'))
    mkdirSync(home, { recursive: true })
    writeFileSync(join(home, 'package.json'), JSON.stringify({ name, version: '1.0.0', type: 'module', exports: './index.js' }))
    writeFileSync(join(home, 'index.js'), source)
  }
  async function attempt(t, folder, options = '') {
    const path = join(folder, 'cask')
    const { stdout, stderr } = await runScript(`
      import { useCaskAuthState } from 'baileys-cask'
      const facts = await useCaskAuthState(${JSON.stringify(path)}${options}).then(
        async ({ state, close }) => (await close(), { creds: state.creds }),
        ({ name, code, message, retryable }) => ({ name, code, message, retryable }))
      console.log(JSON.stringify(facts))`, { cwd: pathToFileURL(`${folder}/`) })
    return JSON.parse(stdout || JSON.stringify({ stderr }))
  }

  test('without Baileys a clear error says what to install', async t => {
    const folder = alone(t)
    const { message, ...facts } = await attempt(t, folder)
    assert.deepEqual(facts, { name: 'CaskError', code: 'ERR_CASK_BAILEYS_MISSING', retryable: false }, message)
    assert.match(message, /npm install baileys/)
    assert.deepEqual(await attempt(t, folder, ', { baileys: { initAuthCreds: () => ({ handed: "in" }) } }'), { creds: { handed: 'in' } })
    assert.deepEqual(await attempt(t, folder), { creds: { handed: 'in' } }, 'creds that are there need no Baileys')
  })

  test('either package will do, and baileys comes first', async t => {
    for (const names of [['@whiskeysockets/baileys'], ['baileys'], ['@whiskeysockets/baileys', 'baileys']]) {
      const folder = alone(t)
      for (const name of names) install(folder, name, `export const initAuthCreds = () => ({ of: '${name}' })`)
      assert.deepEqual(await attempt(t, folder), { creds: { of: names.at(-1) } })
    }
  })

  test('a Baileys with only a default export will do', async t => {
    const folder = alone(t)
    install(folder, 'baileys', 'export default { initAuthCreds: () => ({ of: "default" }) }')
    assert.deepEqual(await attempt(t, folder), { creds: { of: 'default' } })
  })

  test('a Baileys that is there and cannot be loaded says why', async t => {
    const folder = alone(t)
    install(folder, 'baileys', 'import "not-there-either"; export const initAuthCreds = () => ({})')
    const { message, code } = await attempt(t, folder)
    assert.match(message ?? '', /not-there-either/)
    assert.notEqual(code, 'ERR_CASK_BAILEYS_MISSING')
    assert.equal(existsSync(join(folder, 'cask', 'owner')), false, 'the folder was let go')
  })
})
