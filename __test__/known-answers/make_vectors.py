#!/usr/bin/env python3
"""Prints vectors.json: what docs/format.md makes of inputs that are fixed. All bytes are in hexadecimal.

    make_vectors.py > vectors.json
"""

import json
import sys

from cask import hint, key_slot, manifest, segment
from cask.bytes import digest
from cask.operations import CLEAR, DELETE, DROP, PUT, encode_body, encode_delete, encode_put
from cask.sealing import Keys, encrypt, hchacha20


def run(first, length):
    """So many bytes that count up from `first`."""
    return bytes((first + n) % 256 for n in range(length))


CASK, SALT, BOOT = run(0x10, 16), run(0x20, 16), run(0x30, 16)
DATA_KEY, USER_KEY = run(0x40, 32), run(0x80, 32)
NONCE, PREFIX = run(0xC0, 24), run(0xE0, 20)
PASSPHRASE = "correct horse \u00fcber \U0001f511"
KEYS = Keys(DATA_KEY, 1)
PREDECESSOR = (6, run(0x50, 16), 4096, 41)
ACCOUNT = "sh\u00f6p"


def published():
    """What draft-irtf-cfrg-xchacha gives in 2.2.1 and A.3.1: neither comes from here."""
    key, nonce = bytes(range(32)), bytes.fromhex("000000090000004a0000000031415927")
    expected = "82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc"
    assert hchacha20(key, nonce).hex() == expected, "HChaCha20 is not what the draft says"
    text = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it."
    sealed = encrypt(run(0x80, 32), run(0x40, 24), text, bytes.fromhex("50515253c0c1c2c3c4c5c6c7"))
    assert sealed[-16:].hex() == "c0875924c1c7987947deafd8780acf49", "XChaCha20-Poly1305 is not what the draft says"


def slot(kind, data, memory_kib=0, passes=0, lanes=0):
    secret = key_slot.Secret(kind, data)
    return {
        "kind": "passphrase" if kind == key_slot.PASSPHRASE else "key",
        "secret": data.hex(),
        "cask": CASK.hex(),
        "salt": SALT.hex(),
        "nonce": NONCE.hex(),
        "memoryKib": memory_kib,
        "passes": passes,
        "lanes": lanes,
        "dataKey": DATA_KEY.hex(),
        "wrappingKey": key_slot.wrapping_key(secret, SALT, memory_kib, passes, lanes).hex(),
        "slot": key_slot.wrap(CASK, secret, SALT, NONCE, DATA_KEY, memory_kib, passes, lanes).hex(),
    }


def header(keys, copy):
    predecessor = (0, bytes(16), 0, 0) if copy else PREDECESSOR
    fields = {
        "sealed": keys is not None,
        "cask": CASK.hex(),
        "number": 7,
        "salt": SALT.hex(),
        "epoch": 3,
        "boot": BOOT.hex(),
        "copy": copy,
        "first": 42,
        "synced": 40,
        "predecessor": None if copy else [predecessor[0], predecessor[1].hex(), *predecessor[2:]],
        "preallocated": 0 if copy else 262144,
    }
    data = segment.encode_header(CASK, 7, SALT, 3, BOOT, copy, 42, 40, predecessor, fields["preallocated"], keys)
    return {**fields, "header": data.hex()}


# The second operation does not fit into the chunk of the first, and the third not into that of the second.
CHUNKS = (
    ((PUT, b"\x02a", (1, 3)), (DELETE, b"\x00\x04mine\xc3\xbc")),
    ((PUT, b"\x01big", (0, 16000)),),
    ((CLEAR,), (DROP,), (PUT, b"\xff", (6, 1))),
)


def packed(operations):
    """Operations as they stand in a chunk; a value is `run` of what is given."""
    data = b""
    for opcode, *rest in operations:
        if opcode == PUT:
            data += encode_put(rest[0], run(*rest[1]))
        else:
            data += encode_delete(rest[0]) if opcode == DELETE else bytes([opcode])
    return data


def plainly(operations):
    return [[one.hex() if isinstance(one, bytes) else one for one in operation] for operation in operations]


def frame(keys, kind, chunks):
    bodies = [encode_body(ACCOUNT, packed(operations)) for operations in chunks]
    data = segment.encode_frame(kind, 43, 41, bodies, SALT, 4096, keys, PREFIX)
    return {
        "sealed": keys is not None,
        "kind": kind,
        "sequence": 43,
        "synced": 41,
        "salt": SALT.hex(),
        "offset": 4096,
        "account": ACCOUNT,
        "chunks": [plainly(operations) for operations in chunks],
        "noncePrefix": PREFIX.hex() if keys and chunks else None,
        "frame": data.hex(),
    }


def chunk():
    body = encode_body(ACCOUNT, packed(CHUNKS[0]))
    data = KEYS.seal_chunk(body, PREFIX, 5)
    return {
        "body": body.hex(),
        "nonce": data[8:32].hex(),
        "salt": SALT.hex(),
        "offset": 1 << 40,
        "chunk": (data + KEYS.check(SALT, 1 << 40, data[-16:])).hex(),
    }


NAMED = [
    manifest.Named(8, run(0x60, 16), 4096, 40, 3, 71, True),
    manifest.Named(6, run(0x50, 16), 512, 70, 41, 70, False),
]
THROUGH = (6, run(0x50, 16), 512, 70)


def a_manifest(keys):
    data = manifest.encode(CASK, 5, 77, THROUGH, 9, 4, NAMED, keys, NONCE)
    return {
        "sealed": keys is not None,
        "cask": CASK.hex(),
        "generation": 5,
        "synced": 77,
        "through": [THROUGH[0], THROUGH[1].hex(), *THROUGH[2:]],
        "numbersBelow": 9,
        "epoch": 4,
        "named": [{**vars(one), "salt": one.salt.hex()} for one in NAMED],
        "nonce": NONCE.hex() if keys else None,
        "manifest": data.hex(),
    }


# Of a segment that has room for whatever an operation can say.
HINTED_BYTES = 1 << 34
GROUPS = [
    (
        "one",
        [
            (DROP, 70),
            (PUT, b"\x02a", 288, 90, 9, 150),
            (PUT, b"\x02b", 288, 90, 40, 12),
            (DELETE, b"\x02c", 1 << 33),
            (PUT, run(9, 200), 289, 2**32 - 1, 9, 300),
        ],
    ),
    (ACCOUNT, [(PUT, b"\x02a", 0, 20, 9, 20), (CLEAR, 3)]),
]


def a_hint(keys):
    groups = [{"account": account, "operations": plainly(all_)} for account, all_ in GROUPS]
    data = hint.encode(CASK, 7, SALT, HINTED_BYTES, GROUPS, keys, NONCE)
    return {
        "sealed": keys is not None,
        "cask": CASK.hex(),
        "number": 7,
        "salt": SALT.hex(),
        "end": HINTED_BYTES,
        "groups": groups,
        "nonce": NONCE.hex() if keys else None,
        "hint": data.hex(),
    }


def envelope():
    before, content = run(0x70, 40), run(0xA0, 100)
    return {
        "before": before.hex(),
        "nonce": NONCE.hex(),
        "content": content.hex(),
        "envelope": KEYS.seal_envelope(before, NONCE, content).hex(),
    }


def vectors():
    return {
        "digests": [{"bytes": run(0, length).hex(), "digest": digest(run(0, length)).hex()} for length in (0, 16, 300)],
        "checks": [
            {"sealed": False, "bytes": "0102", "salt": SALT.hex(), "offset": 256, "check": segment.plain_check(SALT, 256, b"\1\2").hex()},
            {"sealed": True, "bytes": "0102", "salt": SALT.hex(), "offset": 256, "check": KEYS.check(SALT, 256, b"\1\2").hex()},
        ],
        "keySlots": [
            slot(key_slot.RAW_KEY, USER_KEY),
            slot(key_slot.PASSPHRASE, PASSPHRASE.encode(), 64, 2, 2),
            slot(key_slot.PASSPHRASE, PASSPHRASE.encode(), 65536, 3, 4),
        ],
        "derivedKeys": {
            "dataKey": DATA_KEY.hex(),
            "number": 1,
            "chunks": KEYS.chunks.hex(),
            "files": KEYS.files.hex(),
            "places": KEYS.places.hex(),
        },
        "segmentHeaders": [header(keys, copy) for keys in (None, KEYS) for copy in (False, True)],
        "chunk": chunk(),
        "frames": [frame(keys, kind, chunks) for keys in (None, KEYS) for kind, chunks in ((1, CHUNKS), (2, ()), (3, ()))],
        "envelope": envelope(),
        "manifests": [a_manifest(None), a_manifest(KEYS)],
        "hints": [a_hint(None), a_hint(KEYS)],
    }


if __name__ == "__main__":
    published()
    json.dump(vectors(), sys.stdout, indent=1)
    print()
