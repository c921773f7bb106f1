/** XXH3-64 of 16 bytes, seed 0: the check over the frozen start of every file. */
const SECRET = Buffer.from('b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c', 'hex')
const MASK = (1n << 64n) - 1n

export function xxh3Of16(bytes) {
  const secret = at => SECRET.readBigUInt64LE(at)
  const low = bytes.readBigUInt64LE(0) ^ secret(24) ^ secret(32)
  const high = bytes.readBigUInt64LE(8) ^ secret(40) ^ secret(48)
  const swapped = Buffer.alloc(8)
  swapped.writeBigUInt64BE(low)
  const product = low * high
  let hash = (16n + swapped.readBigUInt64LE() + high + ((product & MASK) ^ (product >> 64n))) & MASK
  hash ^= hash >> 37n
  hash = (hash * 0x165667919e3779f9n) & MASK
  return hash ^ (hash >> 32n)
}
