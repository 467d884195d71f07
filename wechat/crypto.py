"""Signed and encrypted data from WeChat's client: open it, check it, sign like it.

`client` signs session checks with it and `web` opens encryptedData; the simulator
makes what is opened here. The session_key is text in HMAC and SHA-1, and its decoded
16 bytes in AES: WeChat defines both.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Any, Final

import orjson
from Crypto.Cipher import AES

BLOCK: Final = 16
MAX_AGE_MS: Final = 10 * 60 * 1000
MAX_AHEAD_MS: Final = 2 * 60 * 1000
# Far above any open data (31 days of steps are about 1.5 kB).
_LONGEST = 65536


class OpenDataError(Exception):
    """Open data was refused; the text names the check for the log, no data."""


class DecryptFailed(OpenDataError):
    """Wrong base64, length, key, padding, text or JSON: one error for them all."""


class WatermarkMismatch(OpenDataError):
    """It opened, but is another app's, too old, from the future, or unmarked."""


def session_signature(session_key: str) -> str:
    """Return the signature that session checks want: HMAC of nothing, lower hex."""
    return hmac.digest(session_key.encode(), b"", "sha256").hex()


def sign_raw_data(raw_data: str, session_key: str) -> str:
    """Return the signature WeChat's client gives with ``rawData``."""
    text = (raw_data + session_key).encode("utf-8", "surrogatepass")
    return hashlib.sha1(text, usedforsecurity=False).hexdigest()


def raw_data_matches(raw_data: str, session_key: str, signature: str) -> bool:
    """Compare in constant time; ``raw_data`` must be the very text the client got."""
    wanted = sign_raw_data(raw_data, session_key).encode()
    return hmac.compare_digest(wanted, signature.encode("utf-8", "replace"))


def lenient_base64(text: str) -> bytes:
    """Decode base64 that a form post may have damaged.

    A space stands for ``+``; line breaks and missing padding are forgiven. Raises
    DecryptFailed for anything else.
    """
    if len(text) > _LONGEST:
        message = "base64: too long"
        raise DecryptFailed(message)
    # A space at either end is a plus sign too, so nothing is stripped.
    joined = text.replace("\r", "").replace("\n", "").replace(" ", "+")
    padded = joined.rstrip("=")
    padded += "=" * (-len(padded) % 4)
    try:
        return base64.b64decode(padded.encode("ascii"), validate=True)
    except (ValueError, binascii.Error):
        message = "base64: unreadable"
        raise DecryptFailed(message) from None


def decrypt_open_data(
    encrypted_data: str, iv: str, *, session_key: str, app_id: str, now_ms: int
) -> dict[str, Any]:
    """Open ``encryptedData`` and return its object, watermark checked.

    The watermark must name ``app_id`` and lie between 10 minutes ago and 2 minutes
    ahead of ``now_ms``. Raises DecryptFailed or WatermarkMismatch.
    """
    found = open_data(encrypted_data, iv, session_key=session_key)
    check_watermark(found, app_id=app_id, now_ms=now_ms)
    return found


def open_data(encrypted_data: str, iv: str, *, session_key: str) -> dict[str, Any]:
    """Decrypt without looking at the watermark; raises DecryptFailed."""
    cipher = lenient_base64(encrypted_data)
    start, key = lenient_base64(iv), lenient_base64(session_key)
    if len(key) != BLOCK or len(start) != BLOCK or not cipher or len(cipher) % BLOCK:
        message = "length"
        raise DecryptFailed(message)
    plain = AES.new(key, AES.MODE_CBC, start).decrypt(cipher)
    try:
        found = orjson.loads(unpadded(plain, BLOCK))
    except orjson.JSONDecodeError:
        message = "text"
        raise DecryptFailed(message) from None
    if not isinstance(found, dict):
        message = "not an object"
        raise DecryptFailed(message)
    return found


def check_watermark(found: dict[str, Any], *, app_id: str, now_ms: int) -> None:
    """Raise WatermarkMismatch unless the watermark is this app's and recent."""
    mark = found.get("watermark")
    if not isinstance(mark, dict) or mark.get("appid") != app_id:
        message = "watermark of another app, or none"
        raise WatermarkMismatch(message)
    seconds = mark.get("timestamp")
    if not isinstance(seconds, int) or isinstance(seconds, bool):
        message = "watermark without a time"
        raise WatermarkMismatch(message)
    if not -MAX_AHEAD_MS <= now_ms - seconds * 1000 <= MAX_AGE_MS:
        message = "watermark too old or ahead"
        raise WatermarkMismatch(message)


def seal_open_data(plain: bytes, *, session_key: str, iv: bytes) -> str:
    """Encrypt as WeChat's client does; the simulator's half."""
    key = base64.b64decode(session_key)
    cipher = AES.new(key, AES.MODE_CBC, iv).encrypt(padded(plain, BLOCK))
    return base64.b64encode(cipher).decode("ascii")


def padded(plain: bytes, block: int) -> bytes:
    """Append PKCS#7 padding for ``block`` bytes."""
    count = block - len(plain) % block
    return plain + bytes((count,)) * count


def unpadded(plain: bytes, block: int) -> bytes:
    """Strip PKCS#7 padding strictly; raises DecryptFailed when any byte is off."""
    count = plain[-1] if plain else 0
    if not 1 <= count <= block or plain[-count:] != bytes((count,)) * count:
        message = "padding"
        raise DecryptFailed(message)
    return plain[:-count]
