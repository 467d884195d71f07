"""The rules of WeChat's signed and encrypted data: signatures, watermark, padding.

`client` signs session checks with it, `open_data` opens encryptedData by its rules, and
the simulator makes what is opened. The session_key is text in HMAC and SHA-1, and its
decoded 16 bytes in AES: WeChat defines both.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any, Final

from Crypto.Cipher import AES

BLOCK: Final = 16
MAX_AGE_MS: Final = 10 * 60 * 1000
MAX_AHEAD_MS: Final = 2 * 60 * 1000


class BadPadding(Exception):
    """The padding is not PKCS#7; the text holds no data."""


class WatermarkMismatch(Exception):
    """It opened, but is not for here: another app or person, not recent, unmarked.

    The text names the check for the log, no data.
    """


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
    """Strip PKCS#7 padding strictly; raises BadPadding when any byte is off."""
    count = plain[-1] if plain else 0
    if not 1 <= count <= block or plain[-count:] != bytes((count,)) * count:
        message = "padding"
        raise BadPadding(message)
    return plain[:-count]
