"""The operations of a chunk, and what they do to the records of an account."""

from .bytes import Fields, require

PUT, DELETE, CLEAR, DROP = 1, 2, 3, 4
CREDS = "creds"
FAMILIES = {
    1: "pre-key",
    2: "session",
    3: "sender-key",
    4: "sender-key-memory",
    5: "app-state-sync-key",
    6: "app-state-sync-version",
    7: "lid-mapping",
    8: "device-list",
    9: "tctoken",
    10: "identity-key",
    255: CREDS,
}


class Operation:
    """`at` is its offset in the body of its chunk, `size` the bytes it takes there."""

    def __init__(self, opcode, at, size, key=None, value=None):
        self.opcode = opcode
        self.at = at
        self.size = size
        self.key = key
        self.value = value


def read_body(body, path=None):
    """The account's name, and the operations."""
    fields = Fields(body, path)
    account = text(fields.bytes(fields.number(1)), path)
    require(account, "an account without a name", path)
    operations = []
    while fields.left():
        at = fields.at
        opcode = fields.number(1)
        require(PUT <= opcode <= DROP, f"opcode {opcode}", path)
        key = fields.bytes(fields.number(2)) if opcode in (PUT, DELETE) else None
        value = fields.bytes(fields.number(4)) if opcode == PUT else None
        operations.append(Operation(opcode, at, fields.at - at, key, value))
    require(operations, "a chunk without operations", path)
    return account, operations


def read_key(key, path=None):
    """Family and id."""
    fields = Fields(key, path)
    code = fields.number(1)
    if code == 0:
        family = text(fields.bytes(fields.number(1)), path)
        require(family and family not in FAMILIES.values(), "a family that has a code of its own, or no name", path)
    else:
        require(code in FAMILIES, f"family code {code}", path)
        family = FAMILIES[code]
    name = text(fields.bytes(fields.left()), path)
    require((name == "") == (code == 255) and len(name.encode()) <= 4096, "an id of a length that none has", path)
    return family, name


def text(data, path=None):
    try:
        return bytes(data).decode("utf-8")
    except UnicodeDecodeError:
        require(False, "text that is not UTF-8", path)


class Accounts:
    """What the operations that were applied so far have left: account, key, and the value's bytes."""

    def __init__(self):
        self.records = {}

    def apply(self, account, operation, path=None):
        if operation.opcode == DROP:
            self.records.pop(account, None)
            return
        records = self.records.setdefault(account, {})
        if operation.opcode == CLEAR:
            for key in [key for key in records if key[0] != CREDS]:
                del records[key]
            return
        key = read_key(operation.key, path)
        if operation.opcode == PUT:
            records[key] = operation.value
        else:
            records.pop(key, None)

    def present(self):
        """Accounts that have a record or creds."""
        return {account: records for account, records in self.records.items() if records}


def needed(operations):
    """Without those that a later one of the same account makes void; the others keep their order."""
    kept, keys, cleared, dropped = [], set(), False, False
    for operation in reversed(operations):
        if operation.opcode in (PUT, DELETE):
            key = read_key(operation.key)
            void = key in keys or dropped or (cleared and key[0] != CREDS)
            keys.add(key)
        else:
            void = dropped or (cleared and operation.opcode == CLEAR)
            cleared = True
            dropped = dropped or operation.opcode == DROP
        if not void:
            kept.append(operation)
    return kept[::-1]


def encode_put(key, value):
    return bytes([PUT]) + len(key).to_bytes(2, "little") + key + len(value).to_bytes(4, "little") + value


def encode_delete(key):
    return bytes([DELETE]) + len(key).to_bytes(2, "little") + key


def encode_body(account, operations):
    name = account.encode()
    return bytes([len(name)]) + name + operations
