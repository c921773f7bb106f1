"""A segment: its header, and the frames and chunks in it."""

import struct

from .bytes import Fields, digest, make_preamble, preamble, require
from .operations import read_body
from .sealing import decrypt

MAGIC = b"BCASKSEG"
HEADER_LEN, FRAME_HEADER_LEN, CHUNK_HEADER_LEN, CHECK_LEN = 256, 32, 8, 8
BATCH, MARK, END = 1, 2, 3


class BadFrame(Exception):
    """No frame is whole at this place."""


class Frame:
    """`chunks` are pairs of an offset and what is in it: Chunk."""

    def __init__(self, at, end, kind, sequence, synced):
        self.at = at
        self.end = end
        self.kind = kind
        self.sequence = sequence
        self.synced = synced
        self.chunks = []


class Chunk:
    """`around` is what the chunk has besides its operations."""

    def __init__(self, at, size, account, operations):
        self.at = at
        self.size = size
        self.account = account
        self.operations = operations
        self.around = size - sum(operation.size for operation in operations)


class Segment:
    """A file with a whole header. `keys` are those of a sealed cask, else None."""

    def __init__(self, data, keys, path):
        self.data = data
        self.keys = keys
        self.path = path
        fields = Fields(data, path, 24)
        self.cask = fields.bytes(16)
        self.number = fields.number(8)
        self.salt = fields.bytes(16)
        self.epoch = fields.number(8)
        self.boot = fields.bytes(16)
        cipher, copy, data_key = fields.number(2), fields.number(2), fields.number(4)
        self.first = fields.number(8)
        self.synced = fields.number(8)
        self.predecessor = (fields.number(8), fields.bytes(16), fields.number(8), fields.number(8))
        self.preallocated = fields.number(8)
        fields.zeros(72)
        signature = fields.bytes(16)
        require(cipher == (1 if keys else 0), "the cipher is not that of the cask", path, 88)
        require(data_key == (keys.number if keys else 0), "the number of another data key", path, 92)
        require(copy in (0, 1), "a mark for a copy that is neither 0 nor 1", path, 90)
        expected = keys.signature(data) if keys else bytes(16)
        require(signature == expected, "the signature of the header is wrong", path, 232)
        require(not copy or self.predecessor == (0, bytes(16), 0, 0), "a copy with a predecessor", path, 112)
        self.copy = copy == 1

    @staticmethod
    def open(data, keys, path):
        """None where the header is not whole."""
        length = preamble(data[:24], MAGIC, path)
        if length is None or len(data) < HEADER_LEN or digest(data[:248]) != data[248:256]:
            return None
        require(length == HEADER_LEN, "a header length that is not known", path, 12)
        return Segment(data, keys, path)

    def check(self, at, plain, bound):
        if self.keys:
            return self.keys.check(self.salt, at, bound)
        return plain_check(self.salt, at, plain)

    def frame_header(self, at):
        """Its fields, or None where there is none at this offset."""
        head = self.data[at : at + FRAME_HEADER_LEN]
        if len(head) < FRAME_HEADER_LEN or self.check(at, head[:24], head[:24]) != head[24:]:
            return None
        return struct.unpack("<IBBHQQ", head[:24])

    def frame(self, at):
        """The frame at this offset, whole and with all its chunks; BadFrame where there is none."""
        header = self.frame_header(at)
        if header is None:
            raise BadFrame
        payload, kind, form, zero, sequence, synced = header
        require(kind in (BATCH, MARK, END) and zero == 0, "a frame of a kind that is not known", self.path, at)
        require(form == (1 if self.keys else 0), "a frame of the other form", self.path, at)
        require((payload == 0) == (kind != BATCH), "a batch without a payload, or a mark or an end with one", self.path, at)
        stop = at + FRAME_HEADER_LEN + payload
        frame = Frame(at, stop + -stop % 8, kind, sequence, synced)
        if frame.end > len(self.data) or any(self.data[stop : frame.end]):
            raise BadFrame
        place = at + FRAME_HEADER_LEN
        while place < stop:
            chunk = self.chunk(place, stop)
            frame.chunks.append(chunk)
            place += chunk.size
        accounts = {chunk.account for chunk in frame.chunks}
        require(len(accounts) <= 1, "a batch of two accounts", self.path, at)
        return frame

    def chunk(self, at, stop):
        head = self.data[at : at + CHUNK_HEADER_LEN]
        if stop - at < CHUNK_HEADER_LEN:
            raise BadFrame
        length, form, zeros = struct.unpack("<IB3s", head)
        size = CHUNK_HEADER_LEN + length + CHECK_LEN + (40 if self.keys else 0)
        if size > stop - at:
            raise BadFrame
        whole = self.data[at : at + size]
        if self.check(at, whole[:-8], whole[-24:-8]) != whole[-8:]:
            raise BadFrame
        if self.keys:
            body = decrypt(self.keys.chunks, whole[8:32], whole[32:-8], head)
            if body is None:
                raise BadFrame
        else:
            body = whole[8:-8]
        require(form == (1 if self.keys else 0) and not any(zeros), "a chunk of the other form", self.path, at)
        account, operations = read_body(body, self.path)
        require(length <= 16384 or len(operations) == 1, "a chunk that is too large", self.path, at)
        return Chunk(at, size, account, operations)

    def headers_from(self, at):
        """Of all frames whose header is whole, at this offset or behind it: the offset and `synced`."""
        at += -at % 8
        while at + FRAME_HEADER_LEN <= len(self.data):
            header = self.frame_header(at)
            if header is not None:
                yield at, header[5]
            at += 8 if header is None else FRAME_HEADER_LEN

    def has_frame_from(self, at):
        """Whether any frame is whole at this offset or behind it."""
        for place, _ in self.headers_from(at):
            try:
                self.frame(place)
                return True
            except BadFrame:
                pass
        return False

    def written_end(self):
        """Where ends what may have been written: not the zeros of a preallocated file."""
        if len(self.data) > self.preallocated:
            return len(self.data)
        content = len(self.data.rstrip(b"\0"))
        return min(content + -content % 8, len(self.data))


def plain_check(salt, at, data):
    return digest(digest(data) + struct.pack("<Q", at) + salt)


def encode_header(cask, number, salt, epoch, boot, copy, first, synced, predecessor, preallocated, keys=None):
    """The 256 bytes of a header. `predecessor` is its four fields."""
    head = make_preamble(MAGIC, HEADER_LEN) + cask
    head += struct.pack("<Q16sQ16s", number, salt, epoch, boot)
    head += struct.pack("<HHIQQ", 1 if keys else 0, copy, keys.number if keys else 0, first, synced)
    head += struct.pack("<Q16sQQ", *predecessor) + struct.pack("<Q", preallocated)
    head += bytes(72)
    head += keys.signature(head) if keys else bytes(16)
    return head + digest(head)


def encode_frame(kind, sequence, synced, bodies, salt, at, keys=None, prefix=None):
    """A frame with chunks of these bodies, as it stands at the offset `at` of a segment."""
    payload = b""
    for number, body in enumerate(bodies):
        place = at + FRAME_HEADER_LEN + len(payload)
        if keys:
            chunk = keys.seal_chunk(body, prefix, number)
            payload += chunk + keys.check(salt, place, chunk[-16:])
        else:
            chunk = struct.pack("<IB3x", len(body), 0) + body
            payload += chunk + plain_check(salt, place, chunk)
    head = struct.pack("<IBBHQQ", len(payload), kind, 1 if keys else 0, 0, sequence, synced)
    check = keys.check(salt, at, head) if keys else plain_check(salt, at, head)
    frame = head + check + payload
    return frame + bytes(-len(frame) % 8)
