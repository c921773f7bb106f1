/**
 * The kinds that tests name stanzas of a client by:
 *
 * - `encrypt` (key bundles are fetched), `encrypt upload`, `encrypt count`, `encrypt digest`, `encrypt rotate`; `usync`;
 *   every other query by its namespace, such as `w:g2` (groups), `privacy`, `passive`;
 * - `retry`: a receipt of somebody who could not decrypt;
 * - everything else by its tag: `message`, `receipt`, `ack`, `presence`, `ib`.
 */
const ENCRYPT = { key: 'encrypt', count: 'encrypt count', digest: 'encrypt digest', rotate: 'encrypt rotate' }

export function kindOf({ tag, attrs, content }) {
  if (tag === 'receipt' && attrs.type === 'retry') return 'retry'
  if (tag !== 'iq') return tag
  if (attrs.xmlns !== 'encrypt') return attrs.xmlns ?? 'iq'
  return ENCRYPT[content?.[0]?.tag] ?? 'encrypt upload'
}
