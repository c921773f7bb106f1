'use strict'

const { types } = require('node:util')
const { exotic } = require('./codec/classify.js')
const { encodeValue } = require('./codec/encode.js')
const { FAMILY_CODES, OTHER_FAMILY, CREDS } = require('./codec/families.js')
const { Writer } = require('./codec/writer.js')
const { wrongType, outOfRange } = require('./errors.js')

/** Limits, in UTF-8 bytes; the core has the same. */
const MAX_ID_BYTES = 4096
const MAX_FAMILY_BYTES = 255
const MAX_VALUE_BYTES = 128 * 1024 * 1024
const MAX_BATCH_BYTES = 1024 * 1024 * 1024

const OPCODE_PUT = 1
const OPCODE_DELETE = 2
const OPCODE_CLEAR = 3

/**
 * Code of a family; refuses what can be none.
 * @param {unknown} family
 * @returns {number}
 */
function familyCode(family) {
  if (typeof family === 'string') {
    const code = FAMILY_CODES.get(family)
    if (code !== undefined) return code
    if (family.length > 0 && Buffer.byteLength(family) <= MAX_FAMILY_BYTES && family.isWellFormed()) return OTHER_FAMILY
    if (family.length > 0 && family.isWellFormed()) {
      throw outOfRange('family', `a family has ${Buffer.byteLength(family)} bytes and may have ${MAX_FAMILY_BYTES} at most`)
    }
  }
  throw wrongType('family', 'a family is a string that is not empty and holds no half of a surrogate pair, such as \'session\'')
}

/**
 * Appends what every key of a family starts with.
 * @param {Writer} writer
 * @param {number} code
 * @param {string} family
 */
function packFamily(writer, code, family) {
  writer.u8(code)
  if (code === OTHER_FAMILY) {
    writer.u8(Buffer.byteLength(family))
    writer.utf8(family)
  }
}

/**
 * Appends a key and the length before it.
 * @param {Writer} writer
 * @param {number} code
 * @param {string} family
 * @param {unknown} id
 */
function packKey(writer, code, family, id) {
  if (typeof id !== 'string' || id.length === 0) {
    throw wrongType('id', `an id of ${family} is a string that is not empty; got ${id === '' ? 'an empty one' : typeof id}`)
  }
  const lengthAt = writer.offset
  writer.u16(0)
  packFamily(writer, code, family)
  const idAt = writer.offset
  if (!writer.ascii(id)) {
    if (!id.isWellFormed()) throw wrongType('id', `an id of ${family} holds half of a surrogate pair; correct it`)
    writer.offset = idAt
    writer.utf8(id)
  }
  const idBytes = writer.offset - idAt
  if (idBytes > MAX_ID_BYTES) {
    throw outOfRange('id', `an id of ${family} has ${idBytes} bytes and may have ${MAX_ID_BYTES} at most`)
  }
  const length = writer.offset - lengthAt - 2
  writer.buffer[lengthAt] = length
  writer.buffer[lengthAt + 1] = length >>> 8
}

/**
 * Appends a value and the length before it.
 * @param {Writer} writer
 * @param {number} code
 * @param {unknown} value
 * @param {() => string} path
 */
function packValue(writer, code, value, path) {
  const lengthAt = writer.offset
  writer.u32(0)
  encodeValue(writer, code, value, path)
  const length = writer.offset - lengthAt - 4
  if (length > MAX_VALUE_BYTES) {
    throw outOfRange(path(), `${path()} has ${length} bytes encoded and may have ${MAX_VALUE_BYTES} at most`)
  }
  writer.buffer.writeUInt32LE(length, lengthAt)
}

/**
 * Appends the key of a read of one record.
 * @param {Writer} writer
 * @param {unknown} family
 * @param {unknown} id
 * @returns {number} the family's code
 */
function packId(writer, family, id) {
  const code = familyCode(family)
  packKey(writer, code, /** @type {string} */ (family), id)
  return code
}

/**
 * Appends the keys of a read.
 * @param {Writer} writer
 * @param {unknown} family
 * @param {unknown} ids
 * @returns {{ code: number, keys: string[] }} the family's code and the ids as they were packed
 */
function packIds(writer, family, ids) {
  const code = familyCode(family)
  if (!Array.isArray(ids)) throw wrongType('ids', 'ids are an array of strings')
  const keys = []
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]
    packKey(writer, code, /** @type {string} */ (family), id)
    keys.push(id)
  }
  return { code, keys }
}

/**
 * Appends a label that is known to be one.
 * @param {Writer} writer
 * @param {string} label
 */
function packLabel(writer, label) {
  if (writer.ascii(label)) return
  writer.offset = 0
  writer.utf8(label)
}

/**
 * Packs the keys of records, and lends them.
 * @template T
 * @param {readonly { type: unknown, id: unknown }[]} records
 * @param {(keys: Buffer) => T} use
 * @returns {T}
 */
function packRecords(records, use) {
  const writer = new Writer(Buffer.allocUnsafe(records.length * 64))
  for (const { type, id } of records) packId(writer, type, id)
  return use(writer.buffer.subarray(0, writer.offset))
}

/**
 * Appends what all keys of a family start with.
 * @param {Writer} writer
 * @param {unknown} family
 */
function packPrefix(writer, family) {
  packFamily(writer, familyCode(family), /** @type {string} */ (family))
}

/**
 * Whether something holds its entries as properties. A `Map` or a `Buffer` does not: its entries would be lost, or taken for ids.
 * @param {unknown} value
 * @returns {value is Record<string, unknown>}
 */
function isDictionary(value) {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const prototype = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null || (exotic(value) === undefined && !types.isUint8Array(value))
}

/**
 * Appends a batch: values by family and id, `null` and `undefined` for deletes. Refuses it as a whole where one value
 * cannot come back unchanged.
 * @param {Writer} writer
 * @param {unknown} data
 */
function packBatch(writer, data) {
  if (!isDictionary(data)) throw wrongType('data', 'data is an object of values by family and id')
  let family = ''
  let id = ''
  const path = () => `${family}['${id}']`
  for (family of Object.keys(data)) {
    const records = /** @type {Record<string, unknown>} */ (data)[family]
    if (records === undefined || records === null) continue
    if (!isDictionary(records)) throw wrongType('data', `data of family ${family} is an object of values by id`)
    const code = familyCode(family)
    for (id of Object.keys(records)) {
      const value = /** @type {Record<string, unknown>} */ (records)[id]
      const isDelete = value === null || value === undefined
      writer.u8(isDelete ? OPCODE_DELETE : OPCODE_PUT)
      packKey(writer, code, family, id)
      if (!isDelete) packValue(writer, code, value, path)
      if (writer.offset > MAX_BATCH_BYTES) {
        throw outOfRange('data', `the batch has more than ${MAX_BATCH_BYTES} bytes; write it in parts`)
      }
    }
  }
}

/** @param {Writer} writer */
function packClear(writer) {
  writer.u8(OPCODE_CLEAR)
}

/**
 * @param {Writer} writer
 * @param {unknown} creds
 */
function packCreds(writer, creds) {
  if (typeof creds !== 'object' || creds === null || Array.isArray(creds) || types.isUint8Array(creds)) {
    throw wrongType('creds', 'creds are an object')
  }
  writer.u8(OPCODE_PUT)
  packCredsKey(writer)
  packValue(writer, CREDS, creds, () => 'creds')
}

/**
 * Appends the key of the creds and the length before it.
 * @param {Writer} writer
 */
function packCredsKey(writer) {
  writer.u16(1)
  writer.u8(CREDS)
}

module.exports = { packBatch, packClear, packCreds, packCredsKey, packId, packIds, packLabel, packPrefix, packRecords }
