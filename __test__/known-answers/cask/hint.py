"""A hint, and whether it says what its segment says."""

from .bytes import Fields, digest, make_preamble, preamble, require
from .operations import CLEAR, DELETE, DROP, PUT, needed, text
from .segment import FRAME_HEADER_LEN

MAGIC = b"BCASKHNT"
HEADER_LEN = 88
OPCODES = (PUT, DELETE, CLEAR, DROP)


def is_whole(data):
    return len(data) >= HEADER_LEN + 8 and digest(data[:-8]) == data[-8:]


class Hint:
    """`groups` are pairs of an account's name and its operations as `entries` of a segment gives them."""

    def __init__(self, data, keys, path):
        header_len = preamble(data, MAGIC, path)
        require(header_len == HEADER_LEN, "a hint whose header is not whole", path, 0)
        header = Fields(data, path, 24)
        self.cask, self.number, self.salt = header.bytes(16), header.number(8), header.bytes(16)
        self.end, count = header.number(8), header.number(4)
        header.zeros(12)
        content = data[HEADER_LEN:-8]
        if keys:
            content = keys.open_envelope(data[:HEADER_LEN], content, path)
        fields = Fields(content, path)
        self.groups = [_group(fields, path) for _ in range(count)]
        fields.end()


def _group(fields, path):
    account = text(fields.bytes(fields.number(1)), path)
    count, length = fields.number(4), fields.number(4)
    inner = Fields(fields.bytes(length), path)
    entries, chunk, size = [], 0, 0
    for _ in range(count):
        first = inner.varint()
        opcode = OPCODES[first & 3]
        if opcode in (CLEAR, DROP):
            entries.append((opcode, first >> 2))
            continue
        key = inner.bytes(first >> 2)
        if opcode == DELETE:
            entries.append((opcode, key, inner.varint()))
            continue
        step = inner.varint()
        if step:
            chunk += step - 1
            size = inner.varint()
        at = inner.varint()
        entries.append((opcode, key, chunk, size, at, inner.varint()))
    inner.end()
    return account, entries


def entries(frames):
    """What a hint has to say of these frames: by account, its operations that none makes void."""
    by_account, places = {}, {}
    for frame in frames:
        for number, chunk in enumerate(frame.chunks):
            for index, operation in enumerate(chunk.operations):
                taken = operation.size
                if index == 0:
                    taken += chunk.around
                if index == 0 and number == 0:
                    taken += FRAME_HEADER_LEN
                by_account.setdefault(chunk.account, []).append(operation)
                places[operation] = (chunk, taken)
    places = {one: (chunk, short(taken)) for one, (chunk, taken) in places.items()}
    return {account: [_entry(one, *places[one]) for one in needed(all_)] for account, all_ in by_account.items()}


def short(size):
    """The twelve highest bits of a size; the others are 0."""
    low = max(size.bit_length() - 12, 0)
    return size >> low << low


def _entry(operation, chunk, taken):
    if operation.opcode in (CLEAR, DROP):
        return (operation.opcode, taken)
    if operation.opcode == DELETE:
        return (DELETE, operation.key, taken)
    return (PUT, operation.key, chunk.at, chunk.size, operation.at, taken)


def varint(number):
    data = b""
    while number >= 0x80:
        data += bytes([number & 0x7F | 0x80])
        number >>= 7
    return data + bytes([number])


def _encode_entry(entry, chunk):
    opcode = entry[0]
    if opcode in (CLEAR, DROP):
        return varint(entry[1] << 2 | OPCODES.index(opcode)), chunk
    data = varint(len(entry[1]) << 2 | OPCODES.index(opcode)) + entry[1]
    if opcode == DELETE:
        return data + varint(entry[2]), chunk
    at, size = entry[2:4]
    data += varint(0) if at == chunk else varint(at - (chunk or 0) + 1) + varint(size)
    return data + varint(entry[4]) + varint(entry[5]), at


def encode(cask, number, salt, end, groups, keys=None, nonce=None):
    """The bytes of a hint that has these groups of entries, in their order."""
    content = b""
    for account, all_ in groups:
        chunk, inner = None, b""
        for entry in all_:
            data, chunk = _encode_entry(entry, chunk)
            inner += data
        name = account.encode()
        content += bytes([len(name)]) + name + len(all_).to_bytes(4, "little") + len(inner).to_bytes(4, "little") + inner
    data = make_preamble(MAGIC, HEADER_LEN) + cask + number.to_bytes(8, "little") + salt
    data += end.to_bytes(8, "little") + len(groups).to_bytes(4, "little") + bytes(12)
    data += keys.seal_envelope(data, nonce, content) if keys else content
    return data + digest(data)
