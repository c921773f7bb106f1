"""What every file shares: little-endian fields, digests, the preamble, and the errors a reader ends with."""

import struct

import xxhash

VERSION = 1
PREAMBLE_LEN = 24


class CaskError(Exception):
    """Ends the reading. `code` is that of docs/errors.md; `path` and `offset` say where."""

    def __init__(self, code, message, path=None, offset=None):
        super().__init__(message)
        self.code = code
        self.path = path
        self.offset = offset


def damage(message, path=None, offset=None):
    return CaskError("ERR_CASK_CORRUPT", message, path, offset)


def require(holds, message, path=None, offset=None):
    if not holds:
        raise damage(message, path, offset)


def digest(data):
    """XXH3-64 with seed 0, as the eight bytes that stand on disk."""
    return struct.pack("<Q", xxhash.xxh3_64_intdigest(bytes(data), seed=0))


class Fields:
    """Takes one field after the other from `data`; what is not there is damage."""

    def __init__(self, data, path=None, at=0):
        self.data = data
        self.path = path
        self.at = at

    def left(self):
        return len(self.data) - self.at

    def bytes(self, length):
        require(length <= self.left(), "a length is beyond the end", self.path, self.at)
        self.at += length
        return self.data[self.at - length : self.at]

    def number(self, width):
        return int.from_bytes(self.bytes(width), "little")

    def varint(self):
        """Seven bits at a time, lowest first; the high bit is set on all bytes but the last."""
        value = shift = 0
        while True:
            byte = self.number(1)
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            require(shift < 64, "a number that is too long", self.path, self.at)

    def zeros(self, length):
        require(not any(self.bytes(length)), "bytes that have to be 0 are not", self.path, self.at - length)

    def end(self):
        require(self.left() == 0, "bytes after the end", self.path, self.at)


def preamble(data, magic, path):
    """The header's length, or None where the magic or the preamble's check is wrong: the header is not whole."""
    if len(data) < PREAMBLE_LEN or data[:8] != magic or digest(data[:16]) != data[16:24]:
        return None
    version, zero, length = struct.unpack("<8xHHI", data[:16])
    if version != VERSION:
        raise CaskError("ERR_CASK_VERSION", f"format version {version}", path, 8)
    require(zero == 0, "bytes that have to be 0 are not", path, 10)
    return length


def make_preamble(magic, header_len):
    first = struct.pack("<8sHHI", magic, VERSION, 0, header_len)
    return first + digest(first)
