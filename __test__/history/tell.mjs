/** A part of a history in words, to be read where a test fails. */

const EVENTS = level => [
  [level.begin, `begins${level.parent ? ` in ${level.parent}, ${level.nested}` : ''}${level.isolation ? `, isolated by ${level.isolation}` : ''}${level.is ? `, ${level.is}` : ''}`],
  ...level.operations.map(({ kind, record, value, begin, end, refused }) => [refused ? begin : end, `${kind}s ${record} [${value}]${refused ? ', refused' : ` (called at ${begin})`}`]),
  ...level.ready === undefined ? [] : [[level.ready - 0.5, 'is ready']],
  [level.end ?? Infinity, `${level.status} ${level.error ?? ''}`],
]

/** Everything that the transactions around these ones did, in order. */
export function tell({ transactions }, ids) {
  const byId = new Map(transactions.map(level => [level.id, level]))
  const outermost = level => {
    let at = level
    while (at?.parent) at = byId.get(at.parent)
    return at
  }
  const wanted = new Set(ids.map(id => outermost(byId.get(id))))
  return transactions
    .filter(level => wanted.has(outermost(level)))
    .flatMap(level => EVENTS(level).map(([at, what]) => ({ at, line: `${at}  ${level.id} ${what}` })))
    .sort((a, b) => a.at - b.at)
    .map(({ line }) => line)
    .join('\n')
}
