/**
 * A history told by hand, one line an instant:
 *
 *   a begins                      also: `a begins in p`, `a begins in p, independent`, `a begins, isolated by label`
 *   a reads x 1 2                 the value was the list 1 2; nothing for an absent record
 *   a writes x 1 2 3              also: `a writes x 1, refused`
 *   a commits                     also: `a aborts`; without either nobody knows
 *   p gets x 1; y 2               a plain get, over in one line
 *   p sets r 1                    a plain set
 *
 * Records named r... are registers, others lists.
 */
export function story(text) {
  const levels = new Map()
  const kinds = {}
  const begin = (id, at, more = {}) => {
    if (levels.has(id)) throw new Error(`${id} begins twice`)
    levels.set(id, { id, status: 'unknown', begin: at, operations: [], ...more })
    return levels.get(id)
  }
  const end = (level, status, at) => Object.assign(level, { status, ready: at + 1, end: at + 2 })
  const operation = (kind, words, at) => {
    const [told, note] = words.split(', ')
    const [record, ...value] = told.trim().split(/\s+/)
    kinds[record] = record.startsWith('r') ? 'register' : 'list'
    return { kind, record, value, begin: at, end: at + 1, refused: note === 'refused' }
  }
  text.trim().split('\n').map(line => line.trim()).forEach((line, i) => {
    const at = i * 4
    const [, id, verb, rest] = /^(\S+) (\w+),? ?(.*)$/.exec(line)
    const level = levels.get(id)
    switch (verb) {
      case 'begins': {
        const [, parent, independent] = /^in (\S+?)(, independent)?$/.exec(rest) ?? []
        return begin(id, at, { parent, nested: parent && (independent ? 'independent' : 'join'), isolation: rest === 'isolated by label' ? 'label' : undefined })
      }
      case 'reads':
      case 'writes':
        return level.operations.push(operation(verb === 'reads' ? 'read' : 'write', rest, at))
      case 'gets':
      case 'sets': {
        const plain = begin(id, at)
        for (const part of rest.split('; ')) plain.operations.push({ ...operation(verb === 'gets' ? 'read' : 'write', part, at), end: at + 2 })
        return Object.assign(plain, { status: 'committed', ready: at + (verb === 'sets' ? 0 : 2), end: at + 3 })
      }
      case 'commits':
        return end(level, 'committed', at)
      case 'aborts':
        return end(level, 'aborted', at)
      default:
        throw new Error(`not understood: ${line}`)
    }
  })
  return { kinds, transactions: [...levels.values()] }
}
