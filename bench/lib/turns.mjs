/**
 * How many turns of the event loop pass until `work` has ended. What another thread settles takes at least one; what ends within microtasks
 * takes none.
 */
export const turnsDuring = async work => {
  let turns = 0
  let isOver = false
  const turn = () => {
    turns++
    if (!isOver) setImmediate(turn)
  }
  setImmediate(turn)
  await work()
  isOver = true
  return turns
}
