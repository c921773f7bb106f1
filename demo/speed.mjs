/** How fast each store lets the same two accounts talk. */
import { converse, PEOPLE, signIn } from './conversation.mjs'
import { KeyServer } from './network.mjs'
import { groupTalk, privateTalk } from './script.mjs'
import { STORES } from './stores.mjs'

/** Messages of one round: few, so that stores take turns often, and fewer to the group, where signing takes longest. */
const PRIVATE = 30
const GROUP = 3

/** Messages of the round that warms up and does not count. */
const WARM_UP = 60

/** Rounds that are played whatever they take. */
const LEAST_ROUNDS = 4

const talks = { private: privateTalk, group: groupTalk }

async function enter(kind, folder) {
  const store = await STORES[kind](folder)
  const server = new KeyServer()
  const accounts = {}
  for (const name of Object.keys(PEOPLE)) {
    accounts[name] = await signIn(name, { ...(await store.account(name)), server })
    await accounts[name].register()
  }
  return { kind, store, accounts, said: 0 }
}

async function rateOf(runner, talk, count) {
  const turns = talks[talk](count, runner.said + 1)
  runner.said += count
  const started = performance.now()
  const read = await converse(runner.accounts, turns)
  return read / ((performance.now() - started) / 1000)
}

/**
 * Has all stores of `kinds` run the same conversation side by side in this process: one at a time, round by round, each round in another
 * order, so that what else the machine does hits all of them. Nothing stands between Baileys and the store. After `budgetMs` no further
 * round begins. `watch(kind, done, total)` hears of progress.
 *
 * Returns messages per second by kind: `{ private: number[], group: number[] }`, one number a round.
 */
export async function race({ kinds, folderOf, rounds, budgetMs, watch }) {
  const runners = []
  for (const kind of kinds) runners.push(await enter(kind, folderOf(kind)))
  const rates = Object.fromEntries(kinds.map(kind => [kind, { private: [], group: [] }]))
  for (const runner of runners) {
    watch(runner.kind, 0, rounds * kinds.length)
    await rateOf(runner, 'private', WARM_UP)
    await rateOf(runner, 'group', GROUP)
  }
  const started = performance.now()
  for (let round = 0; round < rounds; round++) {
    if (round >= LEAST_ROUNDS && performance.now() - started > budgetMs) break
    const shift = round % kinds.length
    for (const [index, runner] of [...runners.slice(shift), ...runners.slice(0, shift)].entries()) {
      rates[runner.kind].private.push(await rateOf(runner, 'private', PRIVATE))
      rates[runner.kind].group.push(await rateOf(runner, 'group', GROUP))
      watch(runner.kind, round * kinds.length + index + 1, rounds * kinds.length)
    }
  }
  for (const { accounts, store } of runners) {
    for (const account of Object.values(accounts)) account.close()
    await store.close?.()
  }
  return rates
}

/** The value below which a part of the values lies. */
const quantile = (values, part) => values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * part))]

/** The middle value. */
export const median = values => quantile(values, 0.5)

/** The range of the middle half of the values. */
export const middleHalf = values => [quantile(values, 0.25), quantile(values, 0.75)]
