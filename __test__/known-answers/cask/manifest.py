"""The manifest, plain, sealed, and in the form that knows no copies."""

import struct

from .bytes import Fields, digest, make_preamble, preamble, require

MAGIC = b"BCASKMAN"
PLAIN_LEN, SEALED_LEN, WITHOUT_COPIES_LEN = 120, 72, 64


class Named:
    """One segment that a manifest names."""

    def __init__(self, number, salt, end, last, first, decided, copy):
        self.number = number
        self.salt = salt
        self.end = end
        self.last = last
        self.first = first
        self.decided = decided
        self.copy = copy


class Manifest:
    def __init__(self, data, keys, path):
        header_len = preamble(data, MAGIC, path)
        require(header_len is not None and len(data) > 48, "a bad manifest", path, 0)
        require(digest(data[:-8]) == data[-8:], "the manifest's digest is wrong", path, len(data) - 8)
        self.cask = data[24:40]
        if keys:
            require(header_len == SEALED_LEN, "a manifest that is not sealed", path, 12)
            content = keys.open_envelope(data[:40], data[40:-8], path)
        else:
            require(header_len in (PLAIN_LEN, WITHOUT_COPIES_LEN), "a header length that is not known", path, 12)
            content = data[40:-8]
        fields = Fields(content, path)
        self.generation = fields.number(8)
        self.synced = fields.number(8)
        count = fields.number(4)
        fields.zeros(4)
        self.through = None
        if header_len == WITHOUT_COPIES_LEN:
            self.named = [Named(*_first_four(fields), None, None, False) for _ in range(count)]
            if self.named:
                last = self.named[-1]
                self.through = (last.number, last.salt, last.end, last.last)
        else:
            through = _first_four(fields)
            self.through = through if through[0] else None
            self.numbers_below = fields.number(8)
            self.epoch = fields.number(8)
            self.named = []
            for _ in range(count):
                four = _first_four(fields)
                first, decided, copy = (fields.number(8) for _ in range(3))
                require(copy in (0, 1), "a mark for a copy that is neither 0 nor 1", path)
                self.named.append(Named(*four, first, decided, copy == 1))
        fields.end()


def _first_four(fields):
    return fields.number(8), fields.bytes(16), fields.number(8), fields.number(8)


def encode(cask, generation, synced, through, numbers_below, epoch, named, keys=None, nonce=None):
    """The bytes of a manifest: plain, or sealed where there are keys. `through` is its four fields."""
    content = struct.pack("<QQII", generation, synced, len(named), 0)
    content += struct.pack("<Q16sQQQQ", *through, numbers_below, epoch)
    for one in named:
        content += struct.pack("<Q16sQQQQQ", one.number, one.salt, one.end, one.last, one.first, one.decided, one.copy)
    data = make_preamble(MAGIC, SEALED_LEN if keys else PLAIN_LEN) + cask
    data += keys.seal_envelope(data, nonce, content) if keys else content
    return data + digest(data)
