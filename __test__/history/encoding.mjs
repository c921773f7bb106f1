/** How lists of versions are written down in each family, as a value that the family takes. */

const asText = { encode: versions => versions.join(','), decode: text => (text === '' ? [] : text.split(',')) }

const FAMILIES = {
  session: { encode: versions => ({ list: [...versions] }), decode: ({ list }) => [...list] },
  'sender-key': { encode: versions => Buffer.from(asText.encode(versions)), decode: bytes => asText.decode(Buffer.from(bytes).toString()) },
  'lid-mapping': asText,
  'device-list': { encode: versions => [...versions], decode: list => [...list] },
  creds: { encode: versions => ({ versions: [...versions] }), decode: ({ versions }) => [...versions] },
}

export const encode = (family, versions) => FAMILIES[family].encode(versions)
export const decode = (family, value) => (value === undefined || value === null ? [] : FAMILIES[family].decode(value))
