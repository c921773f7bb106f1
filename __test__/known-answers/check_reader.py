#!/usr/bin/env python3
"""Sees the reader refuse every byte that somebody without the key has changed, digests made anew; ends with 0 where it does."""

import sys

import make_vectors as made
from cask import key_slot
from cask.bytes import CaskError, digest
from cask.hint import Hint
from cask.manifest import Manifest
from cask.segment import BadFrame, Segment


def forged(whole, at):
    """The file with another byte at this offset, and the digest that belongs to it."""
    changed = bytearray(whole[:-8])
    changed[at] ^= 1
    return bytes(changed) + digest(changed)


def refuses(read):
    try:
        read()
    except (CaskError, BadFrame):
        return True
    return False


def check_files():
    vectors = made.vectors()
    slot = bytes.fromhex(vectors["keySlots"][0]["slot"])
    secret = key_slot.Secret(key_slot.RAW_KEY, made.USER_KEY)
    files = {
        "segment header": (bytes.fromhex(vectors["segmentHeaders"][2]["header"]), lambda data: Segment.open(data, made.KEYS, None)),
        "manifest": (bytes.fromhex(vectors["manifests"][1]["manifest"]), lambda data: Manifest(data, made.KEYS, None)),
        "hint": (bytes.fromhex(vectors["hints"][1]["hint"]), lambda data: Hint(data, made.KEYS, None)),
        "key slot": (slot, lambda data: key_slot.unwrap(data, secret)),
    }
    for name, (whole, read) in files.items():
        read(whole)
        for at in range(24, len(whole) - 8):
            assert refuses(lambda: read(forged(whole, at))), f"{name}, byte {at}"


def check_frame():
    header = bytes.fromhex(made.header(made.KEYS, False)["header"])
    frame = bytes.fromhex(made.frame(made.KEYS, 1, made.CHUNKS[:1])["frame"])
    before = header + bytes(4096 - len(header))
    assert Segment(before + frame, made.KEYS, None).frame(4096).sequence == 43
    for at in range(len(frame)):
        changed = bytearray(frame)
        changed[at] ^= 1
        assert refuses(lambda: Segment(before + bytes(changed), made.KEYS, None).frame(4096)), f"frame, byte {at}"
    assert refuses(lambda: Segment(before + bytes(8) + frame, made.KEYS, None).frame(4104)), "a frame elsewhere"


if __name__ == "__main__":
    check_files()
    check_frame()
    sys.exit(0)
