"""The fields `client` needs, read out of WeChat's untrusted answers.

Each reader checks type and size and raises WeChatLied where the answer breaks its
documented shape; unknown extra fields are ignored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from wechat.errors import WeChatLied

_ID = re.compile(r"[!-~]{1,64}")
# base64 of 16 bytes: 22 characters and the padding.
_SESSION_KEY = re.compile(r"[A-Za-z0-9+/]{22}==")
# ITU-T E.164: a country code has 1 to 3 digits, all in all there are 15 at most.
_COUNTRY = re.compile(r"0{0,2}([1-9][0-9]{0,2})")
MOST_DIGITS = 15
# No country has shorter numbers of persons.
LEAST_DIGITS = 5
_DIGITS = re.compile(r"[0-9]{1,20}")
HIGHEST_RANK = 4
_PHONE = re.compile(r"[0-9]+(?:[- ][0-9]+)*")
_SEPARATOR = re.compile(r"[- ]")


class WeChatSession(NamedTuple):
    """What a login code was worth; ``session_key`` stays on the server."""

    openid: str
    session_key: str
    unionid: str | None

    def __repr__(self) -> str:
        """Hide every field: all of them are about a person."""
        return "WeChatSession(…)"


@dataclass(frozen=True, slots=True)
class PhoneNumber:
    """A phone number as country code (digits, no plus) and number; repr hides it."""

    country_code: str = field(repr=False)
    number: str = field(repr=False)


def read_session(found: Mapping[str, Any], path: str) -> WeChatSession:
    """Return the session of a code2session answer."""
    unionid = found.get("unionid")
    return WeChatSession(
        read_id(found.get("openid"), path, "openid"),
        read_session_key(found.get("session_key"), path),
        read_id(unionid, path, "unionid") if unionid else None,
    )


def read_id(value: object, path: str, name: str) -> str:
    """Return an openid or unionid: 1-64 visible ASCII characters."""
    if isinstance(value, str) and _ID.fullmatch(value):
        return value
    raise WeChatLied(path, f"bad or missing {name}")


def read_session_key(value: object, path: str) -> str:
    """Return a session_key: the base64 text of 16 bytes."""
    if isinstance(value, str) and _SESSION_KEY.fullmatch(value):
        return value
    raise WeChatLied(path, "bad or missing session_key")


def read_phone(found: Mapping[str, Any], path: str, app_id: str) -> PhoneNumber:
    """Return the number of a phone answer whose watermark names ``app_id``."""
    info = found.get("phone_info")
    if not isinstance(info, dict):
        raise WeChatLied(path, "no phone_info")
    watermark = info.get("watermark")
    if not isinstance(watermark, dict) or watermark.get("appid") != app_id:
        raise WeChatLied(path, "watermark of another app")
    phone = phone_of(info)
    if phone is None:
        raise WeChatLied(path, "bad countryCode or purePhoneNumber")
    return phone


def phone_of(info: Mapping[str, Any]) -> PhoneNumber | None:
    """Return the number in WeChat's phone object, None when it holds no such thing."""
    # A string in today's documents, a number in older ones.
    country = info.get("countryCode")
    country = str(country) if isinstance(country, int) else country
    number = info.get("purePhoneNumber")
    if not isinstance(country, str) or not isinstance(number, str):
        return None
    code = _COUNTRY.fullmatch(country)
    if code is None or not _PHONE.fullmatch(number):
        return None
    digits = _SEPARATOR.sub("", number)
    if not LEAST_DIGITS <= len(digits) <= MOST_DIGITS - len(code[1]):
        return None
    return PhoneNumber(code[1], digits)


def read_risk_rank(found: Mapping[str, Any], path: str) -> int:
    """Return the rank of a risk answer, 0 to 4."""
    rank = found.get("risk_rank")
    if (
        isinstance(rank, int)
        and not isinstance(rank, bool)
        and 0 <= rank <= HIGHEST_RANK
    ):
        return rank
    raise WeChatLied(path, "bad or missing risk_rank")


def read_message_id(found: Mapping[str, Any]) -> str | None:
    """Return the undocumented 64-bit ``msgid`` as text, or None when it is absent."""
    value = found.get("msgid")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return value
    return None
