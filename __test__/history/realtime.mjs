/**
 * What was over before what began: `followers` of each interval, leaving out those that follow from others.
 * @param {{ begin: number, end: number }[]} intervals
 */
export function realTimeFollowers(intervals) {
  const events = intervals.flatMap(interval => [{ at: interval.begin, begins: interval }, { at: interval.end, ends: interval }])
  // Two that meet at one instant are taken as overlapping.
  events.sort((a, b) => a.at - b.at || (a.begins ? 0 : 1) - (b.begins ? 0 : 1))
  const followers = new Map(intervals.map(interval => [interval, []]))
  const leaders = new Map()
  let last = new Set()
  for (const { begins, ends } of events) {
    if (begins) {
      leaders.set(begins, [...last])
      for (const before of last) followers.get(before).push(begins)
    } else if (ends.end < Infinity) {
      for (const before of leaders.get(ends)) last.delete(before)
      last.add(ends)
    }
  }
  return followers
}
