"""Section "Sealing" of docs/format.md, and HChaCha20, which `cryptography` has only inside of ChaCha20."""

import struct

from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from .bytes import CaskError, damage

TAG_LEN = 16
NONCE_LEN = 24
ENVELOPE_HEADER_LEN = 32


def _rotate(value, bits):
    return ((value << bits) & 0xFFFFFFFF) | (value >> (32 - bits))


def _quarter(state, a, b, c, d):
    for left, right, turn, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        state[left] = (state[left] + state[right]) & 0xFFFFFFFF
        state[turn] = _rotate(state[turn] ^ state[left], bits)


def hchacha20(key, nonce):
    """The 32 bytes that draft-irtf-cfrg-xchacha makes of a key and the first 16 bytes of a nonce."""
    state = list(struct.unpack("<4I", b"expand 32-byte k") + struct.unpack("<8I", key) + struct.unpack("<4I", nonce))
    for _ in range(10):
        for column in range(4):
            _quarter(state, column, column + 4, column + 8, column + 12)
        for column in range(4):
            _quarter(state, column, 4 + (column + 1) % 4, 8 + (column + 2) % 4, 12 + (column + 3) % 4)
    return struct.pack("<8I", *state[:4], *state[12:])


def encrypt(key, nonce, content, associated):
    """XChaCha20-Poly1305: the encrypted content and its tag behind it."""
    cipher = ChaCha20Poly1305(hchacha20(key, nonce[:16]))
    return cipher.encrypt(bytes(4) + nonce[16:], bytes(content), bytes(associated))


def decrypt(key, nonce, content_and_tag, associated):
    """The content, or None where the tag does not fit."""
    cipher = ChaCha20Poly1305(hchacha20(key, nonce[:16]))
    try:
        return cipher.decrypt(bytes(4) + bytes(nonce[16:]), bytes(content_and_tag), bytes(associated))
    except InvalidTag:
        return None


def derive(context, secret):
    return blake3(secret, derive_key_context=context).digest()


class Keys:
    """The three keys that come from the data key, and the number of that."""

    def __init__(self, data_key, number):
        self.number = number
        self.chunks = derive("baileys-cask v1 chunks", data_key)
        self.files = derive("baileys-cask v1 files", data_key)
        self.places = derive("baileys-cask v1 places", data_key)

    def place(self, data, length):
        return blake3(data, key=self.places).digest(length=length)

    def signature(self, header):
        return self.place(b"segment header" + header[:232], 16)

    def check(self, salt, offset, bound):
        return self.place(salt + struct.pack("<Q", offset) + bound, 8)

    def seal_chunk(self, body, prefix, number):
        """A chunk of the form 1 without its check, which needs a place. `prefix` is the nonce but for the number."""
        head = struct.pack("<IBBH", len(body), 1, 0, 0)
        nonce = prefix + struct.pack("<I", number)
        return head + nonce + encrypt(self.chunks, nonce, body, head)

    def seal_envelope(self, before, nonce, content):
        """An envelope that stands behind the bytes `before` of its file."""
        head = struct.pack("<HHI", 1, 0, self.number) + nonce
        return head + encrypt(self.files, nonce, content, before + head)

    def open_envelope(self, before, envelope, path):
        if len(envelope) < ENVELOPE_HEADER_LEN + TAG_LEN:
            raise damage("an envelope is cut off", path, len(before))
        cipher, zero, number = struct.unpack("<HHI", envelope[:8])
        if (cipher, zero, number) != (1, 0, self.number):
            raise damage("an envelope of another cipher or another data key", path, len(before))
        content = decrypt(self.files, envelope[8:32], envelope[32:], before + envelope[:32])
        if content is None:
            raise damage("an envelope was not sealed with this cask's data key", path, len(before))
        return content


def wrong_key(message, path):
    return CaskError("ERR_CASK_KEY", message, path)
