"""Opening ``encryptedData``: the same steps whatever is wrong, and what came out.

Every cause of failure (base64, length, key, padding, UTF-8, JSON, no object) gives the
same nothing, after the same deciphering under as many keys; none raises, so no
exception can carry a text. `web/services/open_data.py` asks; `crypto` makes the rules
of padding and signatures. Plain text and keys stand in buffers that are wiped; the
parsed strings are Python's own and can only be let go of.
"""

from __future__ import annotations

import binascii
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from Crypto.Cipher import AES

from wechat.crypto import BLOCK, WatermarkMismatch, check_watermark

# The current key and the one before it; a missing one is stood in for.
TRIES: Final = 2
_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
# Ways in which pages and their libraries write base64 down, and what is meant.
_SPELLINGS: Final = (
    *(("\r", ""), ("\n", ""), ("\t", "")),
    *((" ", "+"), ("-", "+"), ("_", "/")),
    *(("%2B", "+"), ("%2F", "/"), ("%3D", "=")),
    *(("%2b", "+"), ("%2f", "/"), ("%3d", "=")),
)
_KINDS: Final = (
    ("phone", ("purePhoneNumber", "phoneNumber")),
    ("steps", ("stepInfoList",)),
    ("group", ("opengid", "openGId", "group_openid", "open_single_roomid")),
    ("message", ("activityId",)),
)


@dataclass(frozen=True, slots=True)
class SealedData:
    """What the page handed us; its repr shows nothing."""

    encrypted_data: str = field(repr=False)
    iv: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class OpenData:
    """What was inside, and the session_key that opened it; the repr shows nothing."""

    content: dict[str, Any] = field(repr=False)
    session_key: str = field(repr=False)

    @property
    def kind(self) -> str:
        """What it is, by its content: phone, steps, group, message, else user_info."""
        for kind, names in _KINDS:
            if any(name in self.content for name in names):
                return kind
        return "user_info"

    def check(self, app_id: str, openid: str, now_ms: int) -> None:
        """Raise WatermarkMismatch unless it is this app's, this user's, and recent."""
        check_watermark(self.content, app_id=app_id, now_ms=now_ms)
        if self.content.get("openId", openid) != openid:
            message = "somebody else's data"
            raise WatermarkMismatch(message)


def open_sealed(sealed: SealedData, keys: Sequence[str]) -> OpenData | None:
    """Return what the first fitting one of up to two ``keys`` opens, or None.

    All keys are tried whatever the first one gave.
    """
    cipher, fair = _whole_blocks(_decoded(sealed.encrypted_data))
    start, fits = _of_length(_decoded(sealed.iv), BLOCK)
    found = None
    for number in range(TRIES):
        key = keys[number] if number < len(keys) else ""
        raw, usable = _of_length(_decoded(key), BLOCK)
        content = _deciphered(cipher, start, raw)
        if content is not None and found is None and fair and fits and usable:
            found = OpenData(content, key)
    return found


def _decoded(text: str) -> tuple[bytearray, bool]:
    """Return what base64 gives, and whether all of it was base64.

    A space stands for ``+``; line breaks, tabs, the URL-safe alphabet, percent-encoding
    and missing padding are forgiven, by the same steps for every text.
    """
    # A space at either end is a plus sign too, so nothing is stripped.
    for written, meant in _SPELLINGS:
        text = text.replace(written, meant)
    raw = text.rstrip("=").encode("utf-8", "surrogatepass")
    strange = raw.translate(None, _ALPHABET)
    try:
        read = binascii.a2b_base64(raw + b"=" * (-len(raw) % 4), strict_mode=False)
    except binascii.Error:
        return bytearray(len(raw)), False
    return bytearray(read), not strange


def _whole_blocks(decoded: tuple[bytearray, bool]) -> tuple[bytearray, bool]:
    """Fill up to whole blocks, one at least; says whether that was needed."""
    raw, fair = decoded
    missing = -len(raw) % BLOCK if raw else BLOCK
    return raw + bytes(missing), fair and not missing


def _of_length(decoded: tuple[bytearray, bool], length: int) -> tuple[bytearray, bool]:
    """Cut or fill up to ``length`` bytes; says whether that was needed."""
    raw, fair = decoded
    # Filled with noise: nobody can foresee what a missing key would open.
    return (raw + os.urandom(length))[:length], fair and len(raw) == length


def _deciphered(
    cipher: bytearray, start: bytearray, key: bytearray
) -> dict[str, Any] | None:
    plain = bytearray(len(cipher))
    try:
        AES.new(key, AES.MODE_CBC, start).decrypt(cipher, output=plain)
        return _parsed(plain)
    finally:
        plain[:] = bytes(len(plain))
        key[:] = bytes(len(key))


def _parsed(plain: bytearray) -> dict[str, Any] | None:
    """Return the JSON object under the padding; looks at every byte of the padding."""
    count = plain[-1]
    wrong = int(not 1 <= count <= BLOCK)
    for place in range(1, BLOCK + 1):
        wrong |= (place <= count) & (plain[-place] != count)
    with memoryview(plain) as view:
        try:
            found = orjson.loads(view[: len(plain) - (count if not wrong else 0)])
        except orjson.JSONDecodeError:
            # The error holds the whole text: it must go no further than this.
            return None
    return found if isinstance(found, dict) and not wrong else None
