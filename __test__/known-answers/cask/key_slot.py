"""The key slot: what wraps the data key of a sealed cask."""

import struct

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from .bytes import Fields, digest, make_preamble, preamble, require
from .sealing import decrypt, derive, encrypt, wrong_key

MAGIC = b"BCASKKEY"
SLOT_LEN = 160
RAW_KEY, PASSPHRASE = 0, 1


class Secret:
    """What the user has: `kind` is RAW_KEY (32 bytes) or PASSPHRASE (its UTF-8 bytes)."""

    def __init__(self, kind, data):
        self.kind = kind
        self.data = data


def wrapping_key(secret, salt, memory_kib, passes, lanes):
    base = secret.data
    if secret.kind == PASSPHRASE:
        base = Argon2id(salt=bytes(salt), length=32, iterations=passes, lanes=lanes, memory_cost=memory_kib).derive(base)
    return derive("baileys-cask v1 key slot", base)


def unwrap(slot, secret, path=None):
    """The slot's fields and its data key."""
    require(len(slot) == SLOT_LEN, "a key slot has 160 bytes", path, len(slot))
    require(preamble(slot, MAGIC, path) == SLOT_LEN, "a key slot whose header is not whole", path, 0)
    require(digest(slot[:152]) == slot[152:], "the key slot's digest is wrong", path, 152)
    fields = Fields(slot, path, 24)
    cask = fields.bytes(16)
    number, kind, memory_kib, passes, lanes = (fields.number(4) for _ in range(5))
    fields.zeros(4)
    salt, nonce, wrapped = fields.bytes(16), fields.bytes(24), fields.bytes(48)
    require(number == 1 and kind in (RAW_KEY, PASSPHRASE), "a key slot of a kind that is not known", path, 40)
    if kind == RAW_KEY:
        require((memory_kib, passes, lanes) == (0, 0, 0), "parameters of Argon2id for a key", path, 48)
    else:
        require(
            1 <= lanes <= 16 and 1 <= passes <= 16 and 8 * lanes <= memory_kib <= 262144,
            "parameters of Argon2id out of bounds",
            path,
            48,
        )
    if secret.kind != kind:
        raise wrong_key("the slot wants a key" if kind == RAW_KEY else "the slot wants a passphrase", path)
    data_key = decrypt(wrapping_key(secret, salt, memory_kib, passes, lanes), nonce, wrapped, slot[:80])
    if data_key is None:
        raise wrong_key("the data key cannot be unwrapped: another key, or an edited slot", path)
    return {
        "cask": cask,
        "number": number,
        "kind": "passphrase" if kind == PASSPHRASE else "key",
        "memoryKib": memory_kib,
        "passes": passes,
        "lanes": lanes,
        "dataKey": data_key,
    }


def wrap(cask, secret, salt, nonce, data_key, memory_kib=0, passes=0, lanes=0):
    """The 160 bytes of a slot."""
    head = make_preamble(MAGIC, SLOT_LEN) + cask
    head += struct.pack("<6I", 1, secret.kind, memory_kib, passes, lanes, 0) + salt
    slot = head + nonce + encrypt(wrapping_key(secret, salt, memory_kib, passes, lanes), nonce, data_key, head)
    return slot + digest(slot)
