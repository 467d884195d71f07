"""Sealed fields: AES-256-GCM under purpose keys, and the keyed hashes to look up by.

Used for what Redis and SQL may hold but never in the clear: session_key, openid,
WeChat's access token, journalled logins. Why the `cryptography` package seals while
pycryptodome derives keys: docs/decisions/0003-sealing.md.
"""

from __future__ import annotations

import hmac
import os
from typing import TYPE_CHECKING

from Crypto.Hash import SHA256
from Crypto.Protocol.KDF import HKDF
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

if TYPE_CHECKING:
    from config.secrets import SecretSettings

# First byte of every blob: the key that sealed it, so keys can change later.
KEY_ID = b"\x01"
NONCE_BYTES = 12
USER_ID_BYTES = 13


class Unsealable(Exception):
    """The blob was sealed for somebody else, with another key, or was changed."""


class Sealer:
    """Seals bytes for one purpose, bound to an owner so that nobody can swap blobs."""

    def __init__(self, data_key: bytes, purpose: str) -> None:
        self._cipher = AESGCM(derive_key(data_key, purpose))

    def seal(self, plain: bytes, owner: str) -> bytes:
        """Return key id, nonce, ciphertext and tag as one blob."""
        nonce = os.urandom(NONCE_BYTES)
        return KEY_ID + nonce + self._cipher.encrypt(nonce, plain, owner.encode())

    def unseal(self, blob: bytes, owner: str) -> bytes:
        """Return the plain bytes; raises `Unsealable`."""
        if blob[:1] != KEY_ID:
            raise Unsealable("unknown key id")
        nonce, sealed = blob[1 : 1 + NONCE_BYTES], blob[1 + NONCE_BYTES :]
        try:
            return self._cipher.decrypt(nonce, sealed, owner.encode())
        except (InvalidTag, ValueError) as error:
            raise Unsealable("wrong key, owner or content") from error


class IdentityHasher:
    """Turns WeChat identifiers into ids that reveal nothing and need no look-up."""

    def __init__(self, id_key: bytes) -> None:
        self._key = derive_key(id_key, "identity")

    def user_id(self, app_id: str, openid: str) -> str:
        """Return the user id of a person in an app: the same at every login."""
        digest = hmac.digest(self._key, f"{app_id}\n{openid}".encode(), "sha256")
        return "u_" + digest[:USER_ID_BYTES].hex()

    def look_up(self, kind: str, value: str) -> str:
        """Return the blind index of ``value`` (openid, unionid, phone, code)."""
        digest = hmac.digest(self._key, f"{kind}:{value}".encode(), "sha256")
        return digest.hex()


def derive_key(master: bytes, purpose: str) -> bytes:
    """Return 32 bytes for one purpose (HKDF, RFC 5869)."""
    return HKDF(master, 32, b"", SHA256, context=f"kuaida:{purpose}".encode())


def sealer_for(secrets: SecretSettings, purpose: str) -> Sealer:
    """Return the sealer of ``purpose`` under the configured data key."""
    return Sealer(secrets.data_key, purpose)
