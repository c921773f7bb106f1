/**
 * A random workload of several clients at once, against any store shaped like the one Baileys asks for. What they do depends
 * on the seed alone; in which order it happens, on the store and the machine.
 */
import { Client, kindsOf } from './client.mjs'
import { ALONE, FAMILIES, IDS, makePlan } from './plan.mjs'
import { Clock, merge } from './recorder.mjs'

/**
 * Runs the clients of a plan.
 * @param {{ [name: string]: { keys, loadCreds?, saveCreds? } }} accounts
 * @param {object[][]} plan
 * @param {{ clock?: Clock, name?: string, keep?: (level: object) => void, limits?: boolean }} [options] `name` tells the clients of
 *   one thread from those of another; the rest as for `Client`
 * @returns {Promise<{ history: object, unexpected: { error: Error, step: object }[] }>}
 */
export async function runClients(accounts, plan, { clock = new Clock(), name = '', ...options } = {}) {
  const clients = plan.map((_, i) => new Client(`${name}${i}`, accounts, clock, options))
  await Promise.all(clients.map((client, i) => client.run(plan[i])))
  return together(accounts, clients)
}

function together(accounts, clients) {
  return {
    history: { kinds: kindsOf(Object.keys(accounts)), transactions: clients.flatMap(({ transactions }) => transactions) },
    unexpected: clients.flatMap(({ unexpected }) => unexpected),
  }
}

/** After all the rest: everything is read, every lock can be had, and everything is read once more. */
export async function runFinal(accounts, { clock = new Clock(), features = {} } = {}) {
  const client = new Client('final', accounts, clock)
  const steps = Object.keys(accounts).flatMap(account => {
    const step = { account, pause: 'none' }
    const read = [...FAMILIES.map(family => ({ ...step, do: 'get', family, ids: [...IDS, ...ALONE] })), ...features.creds ? [{ ...step, do: 'loadCreds' }] : []]
    const append = FAMILIES.map(family => ({ pause: 'none', between: 'none', do: 'append', family, ids: IDS.filter(id => id.startsWith('l')) }))
    return [...read, { ...step, do: 'transaction', work: append, retries: 0 }, ...read]
  })
  await client.run(steps)
  return together(accounts, [client])
}

/** All of it in one thread. */
export async function runWorkload(accounts, { seed, limits, planFor = makePlan, ...options }) {
  const clock = new Clock()
  const parts = [await runClients(accounts, planFor(seed, { limits, ...options }), { clock, limits })]
  parts.push(await runFinal(accounts, { clock, features: options.features }))
  return { history: merge(parts.map(({ history }) => history)), unexpected: parts.flatMap(({ unexpected }) => unexpected) }
}
