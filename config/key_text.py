"""Keys as text: hex, the same bytes in PEM armour, and a key with the end of its life.

Read from settings by `config/secrets.py` and from files by `config/jwt_keys.py`.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import NamedTuple

KEY_BYTES = 32
PEM = re.compile(r"-----BEGIN ([^-]+)-----\s(.+)\s-----END \1-----", re.DOTALL)
# A DER structure, as every certificate and public or private key is one: a sequence
# that begins with a number or a sequence, in 44 bytes at least (an Ed25519 public key).
# And the head of OpenSSH's own form.
DER_SEQUENCE, DER_SHORT, DER_LEAST = 0x30, 0x80, 44
DER_INNER = (b"\x02", b"\x30")
SSH_HEAD = b"openssh-key-v1\0"
_RETIRED = re.compile(r"(.+?)(?:\s+until\s+(\d{10,15}))?", re.DOTALL)


class RetiredKey(NamedTuple):
    """A key that only verifies; ``ends_at`` is epoch milliseconds, None for no end."""

    key: bytes
    ends_at: int | None = None


def parse_key(value: object) -> object:
    """Read a key from text, as `key_of` does; other values stay as they are."""
    return key_of(value) if isinstance(value, str) else value


def parse_retired(value: object) -> object:
    """Read a key that may name its end: ``<key> until <epoch ms>``."""
    if not isinstance(value, str):
        return value
    found = _RETIRED.fullmatch(value.strip())
    text, ends_at = found.groups() if found else (value, None)
    return RetiredKey(key_of(text), None if ends_at is None else int(ends_at))


def key_of(text: str) -> bytes:
    """Return the key of at least 32 bytes in ``text``, which is hex or PEM.

    Raises ValueError for what is no secret key. Half of an asymmetric pair is refused,
    as the library that verifies refuses it: the other half may be public.
    """
    key = _decoded(text.strip())
    if len(key) < KEY_BYTES:
        message = f"must be the hex of at least {KEY_BYTES} random bytes"
        raise ValueError(message)
    if _is_der(key) or key.startswith(SSH_HEAD):
        message = "is half of an asymmetric pair or a certificate, not a secret key"
        raise ValueError(message)
    return key


def _decoded(text: str) -> bytes:
    armoured = PEM.fullmatch(text)
    try:
        if armoured is None:
            return bytes.fromhex(text)
        return base64.b64decode("".join(armoured[2].split()), validate=True)
    except (ValueError, binascii.Error):
        return b""


def _is_der(key: bytes) -> bool:
    """Whether ``key`` is one DER sequence from end to end.

    Keys that we draw have 32 bytes and never look like one; longer ones once in
    millions.
    """
    if len(key) < DER_LEAST or key[0] != DER_SEQUENCE:
        return False
    size, width = key[1], 0
    if size >= DER_SHORT:
        width = size - DER_SHORT
        size = int.from_bytes(key[2 : 2 + width], "big")
    inner = key[2 + width : 3 + width]
    return size == len(key) - 2 - width and inner in DER_INNER
