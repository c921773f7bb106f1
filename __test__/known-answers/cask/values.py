"""docs/values.md: from the bytes of a value to what `JSON.stringify` with BufferJSON's replacer makes of it."""

import base64
import struct

from .bytes import Fields, require
from .operations import text

ABSENT = object()


def buffer(data):
    return {"type": "Buffer", "data": base64.b64encode(data).decode("ascii")}


def characters(data):
    """One character per byte."""
    return bytes(data).decode("latin-1")


def decode(value):
    fields = Fields(value)
    tag = fields.number(1)
    require(tag in FORMS, f"tag {tag} of a value")
    result = FORMS[tag](fields)
    fields.end()
    return result


def integer(fields):
    number = fields.varint()
    return -(number + 1) // 2 if number & 1 else number // 2


def key_pair(fields):
    order, length = fields.number(1), fields.number(1)
    require(order in (0, 1), "the order of a key pair")
    names = ("private", "public") if order else ("public", "private")
    first = fields.bytes(length)
    return {names[0]: buffer(first), names[1]: buffer(fields.bytes(fields.left()))}


def lengths(fields, count):
    common = fields.varint()
    if common == 0:
        return [fields.varint() for _ in range(count)]
    require(common * count <= fields.left(), "a column beyond the end")
    return [common] * count


def lt_hash_state(fields):
    version, digest_ = integer(fields), buffer(fields.bytes(fields.varint()))
    count = fields.varint()
    require(count <= fields.left(), "a count beyond the end")
    key_lengths = lengths(fields, count) if count else []
    mac_lengths = lengths(fields, count) if count else []
    keys = [characters(fields.bytes(length)) for length in key_lengths]
    macs = [buffer(fields.bytes(length)) for length in mac_lengths]
    return {"version": version, "hash": digest_, "indexValueMap": {key: {"valueMac": mac} for key, mac in zip(keys, macs)}}


def tree(fields, depth=0):
    kind = fields.number(1)
    if kind >= 0x80:
        return kind - 0x80
    if kind < 3:
        return (None, False, True)[kind]
    if kind == 3:
        return struct.unpack("<i", fields.bytes(4))[0]
    if kind == 4:
        number = struct.unpack("<d", fields.bytes(8))[0]
        require(number - number == 0, "a number that is not finite")
        return int(number) if number.is_integer() and abs(number) < 2**53 else number
    if kind == 5:
        return characters(fields.bytes(fields.varint()))
    if kind == 6:
        return text(fields.bytes(fields.varint()))
    if kind == 7:
        return buffer(fields.bytes(fields.varint()))
    require(kind in (8, 9), f"type {kind} of a node")
    require(depth < 100, "too deep nesting")
    if kind == 8:
        count = fields.varint()
        require(count <= fields.left(), "a count beyond the end")
        return [tree(fields, depth + 1) for _ in range(count)]
    properties = {}
    while True:
        head = fields.varint()
        if head == 0:
            return properties
        name = fields.bytes((head - 1) // 2)
        name = characters(name) if head & 1 else text(name)
        properties[name] = tree(fields, depth + 1)


class Session:
    """Form 7: `fields` say how long each string is, the texts follow one another."""

    def __init__(self, fields):
        self.fields = Fields(fields.bytes(fields.number(4)))
        self.texts = fields

    def text(self):
        return characters(self.texts.bytes(self.fields.varint()))

    def optional(self):
        length = self.fields.varint()
        return characters(self.texts.bytes(length - 1)) if length else ABSENT

    def int(self):
        return integer(self.fields)

    def each(self):
        """The keys of an object, up to the one that is none."""
        while True:
            key = self.optional()
            if key is ABSENT:
                return
            yield key

    def read(self):
        version = self.text()
        sessions = {key: self.entry() for key in self.each()}
        self.fields.end()
        return {"_sessions": sessions, "version": version}

    def entry(self):
        entry = {
            "registrationId": self.int(),
            "currentRatchet": {
                "ephemeralKeyPair": {"pubKey": self.text(), "privKey": self.text()},
                "lastRemoteEphemeralKey": self.text(),
                "previousCounter": self.int(),
                "rootKey": self.text(),
            },
            "indexInfo": {
                "baseKey": self.text(),
                "baseKeyType": self.int(),
                "closed": self.int(),
                "used": self.int(),
                "created": self.int(),
                "remoteIdentityKey": self.text(),
            },
        }
        entry["_chains"] = {key: self.chain() for key in self.each()}
        flag = self.fields.number(1)
        require(flag <= 2, "the flag of a pending pre-key")
        if flag:
            entry["pendingPreKey"] = {"signedKeyId": self.int(), "baseKey": self.text()}
        if flag == 2:
            entry["pendingPreKey"]["preKeyId"] = self.int()
        return entry

    def chain(self):
        kind = self.int()
        chain_key = {"counter": self.int()}
        key = self.optional()
        if key is not ABSENT:
            chain_key["key"] = key
        message_keys = {number: self.text() for number in self.each()}
        return {"chainKey": chain_key, "chainType": kind, "messageKeys": message_keys}


FORMS = {
    1: lambda fields: buffer(fields.bytes(fields.left())),
    2: lambda fields: characters(fields.bytes(fields.left())),
    3: lambda fields: text(fields.bytes(fields.left())),
    4: key_pair,
    5: lt_hash_state,
    6: tree,
    7: lambda fields: Session(fields).read(),
}
