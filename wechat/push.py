"""WeChat's message push: signatures and the 32-byte-padded envelope of safe mode.

The callback route of `web` opens pushes with it; the simulator makes them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
from typing import Final

from Crypto.Cipher import AES
from Crypto.Cipher._mode_cbc import CbcMode

from wechat.crypto import BadPadding, padded, unpadded

# Not the cipher's 16: with a 16-byte unpadder about half of all messages fail.
PAD_BLOCK: Final = 32
_PREFIX = 16
_LENGTH = 4
_KEY = re.compile(r"[A-Za-z0-9]{43}")
_LONGEST = 1_048_576


class PushRefused(Exception):
    """A push that is not WeChat's, or not for this app; the text holds no content."""


def push_signature(token: str, timestamp: str, nonce: str, *more: str) -> str:
    """Return sha1 over the sorted parts; safe mode adds the ``Encrypt`` text."""
    parts = sorted(part.encode() for part in (token, timestamp, nonce, *more))
    return hashlib.sha1(b"".join(parts), usedforsecurity=False).hexdigest()


def push_signature_matches(
    signature: str, *, token: str, timestamp: str, nonce: str, encrypted: str = ""
) -> bool:
    """Compare in constant time; ``encrypted`` is the ``Encrypt`` text of safe mode."""
    more = (encrypted,) if encrypted else ()
    wanted = push_signature(token, timestamp, nonce, *more)
    return hmac.compare_digest(wanted.encode(), signature.encode("utf-8", "replace"))


class PushCipher:
    """AES-256-CBC under one app's EncodingAESKey; the iv is the key's first half."""

    def __init__(self, encoding_aes_key: str, app_id: str) -> None:
        """Raise ValueError unless the key is the console's 43 letters and digits."""
        if not _KEY.fullmatch(encoding_aes_key):
            message = "EncodingAESKey must be 43 letters or digits"
            raise ValueError(message)
        # The 43rd character usually leaves spare bits: a strict decoder refuses it.
        self._key = binascii.a2b_base64(encoding_aes_key + "=", strict_mode=False)
        self._app_id = app_id.encode()

    def encrypt(self, message: bytes, *, prefix: bytes | None = None) -> str:
        """Return the ``Encrypt`` text; ``prefix`` is the 16 random bytes."""
        start = os.urandom(_PREFIX) if prefix is None else prefix
        length = len(message).to_bytes(_LENGTH, "big")
        plain = padded(start + length + message + self._app_id, PAD_BLOCK)
        return base64.b64encode(self._cipher().encrypt(plain)).decode("ascii")

    def decrypt(self, encrypted: str) -> bytes:
        """Return the message; raises PushRefused for every cause alike."""
        try:
            plain = self._open(encrypted)
        except (ValueError, BadPadding):
            message = "push cannot be opened"
            raise PushRefused(message) from None
        head = _PREFIX + _LENGTH
        end = head + int.from_bytes(plain[_PREFIX:head], "big")
        if len(plain) < head or end > len(plain) or plain[end:] != self._app_id:
            message = "push is not for this app"
            raise PushRefused(message)
        return plain[head:end]

    def _open(self, encrypted: str) -> bytes:
        if len(encrypted) > _LONGEST:
            raise ValueError
        cipher = base64.b64decode(encrypted.encode("ascii"), validate=True)
        if not cipher or len(cipher) % PAD_BLOCK:
            raise ValueError
        return unpadded(self._cipher().decrypt(cipher), PAD_BLOCK)

    def _cipher(self) -> CbcMode:
        return AES.new(self._key, AES.MODE_CBC, self._key[:_PREFIX])
