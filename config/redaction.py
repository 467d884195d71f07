"""Keep persons and secrets out of logs: deny by default.

A structlog processor (`redact`) that lets a listed key through and replaces every
other value; the texts of listed keys are searched for what looks like a secret.
`config/logging.py` runs every line through it, foreign libraries' lines included.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from functools import lru_cache

REDACTED = "[redacted]"

# Keys written by our own code from closed sets or our own ids. A new key is added
# here on purpose, after asking what a client could put into it.
ALLOWED_KEYS = frozenset(
    # what and where
    "event level time process pid logger request_id task_id app_id user_id "
    "session_id device_hash outbox_id batch_id operation_id order_id "
    "notification_id push_id product_id entry_id stream_id job due slot name kind "
    "subject_id event_type event_kind template_key "
    # how a request went
    "method route path status code reason action ms duration_ms sql_ms redis_ms "
    "wechat_ms bytes retry_after_ms timeout_ms deadline_ms outcome errcode "
    # how work went
    "task queue state attempt attempts count size batch accepted rejected done dead "
    "resent claimed retired lag_ms age_s delay_s every_s cause error exception "
    "cache result_count deleted poison eta_s retries "
    # processes and parts
    "port host exit_code signal restarts version revision part ok breaker "
    "failures workers settings faults directory file line function lane stores "
    "consumer concurrency mode env".split()
)

# Below this length no phone, code, key or token fits.
MIN_SUSPECT = 11
CACHED_LENGTH = 64

# A cheap look first: most texts have no long run, no digits in a row, no "=".
_SUSPECT = re.compile(r"[A-Za-z0-9_+/-]{22}|\d{7}|[=:\[]|eyJ|(?i:bearer)")

_NAMES = (
    r"secret|appsecret|app_secret|access_token|refresh_token|admin_token|token|"
    r"js_code|login_code|session_key|openid|unionid|phone|phone_number|purephonenumber|"
    r"phonenumber|mobile|password|passwd|authorization|encrypted_data|encrypteddata|"
    r"iv|signature|raw_data|rawdata|nickname|avatar_url|jwt_key|data_key|id_key"
)
_PATTERNS = (
    # name=value and "name": "value", as in queries, JSON and reprs
    (
        re.compile(
            rf"(?i)\b({_NAMES})\b(['\"]?\s*[=:]\s*)"
            r"(?:b?'[^']*'|\"[^\"]*\"|(?:Bearer\s+)?[^\s&,;)}\]]+)"
        ),
        rf"\1\2{REDACTED}",
    ),
    (re.compile(r"\bcode=[\w-]{6,}"), f"code={REDACTED}"),
    # the password of an address: scheme://user:password@host
    (re.compile(r"://[^/\s:@]*:[^/\s@]+@"), f"://{REDACTED}@"),
    # bound parameters in the text of a database error
    (re.compile(r"(?s)\[parameters: .*?\](?=\s|$)"), f"[parameters: {REDACTED}]"),
    # JSON web tokens
    (re.compile(r"\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?"), REDACTED),
    (re.compile(r"(?i)\bBearer\s+\S+"), f"Bearer {REDACTED}"),
    # session_key: base64 of 16 bytes
    (re.compile(r"(?<![\w+/])[A-Za-z0-9+/]{22}=="), REDACTED),
    # longer base64: encrypted data, keys
    (re.compile(r"(?<![\w+/])(?=[A-Za-z+/]*\d)[A-Za-z0-9+/]{64,}={0,2}"), REDACTED),
    # openid, unionid: 28 characters that begin with o
    (re.compile(r"(?<![\w-])o[\w-]{27}(?![\w-])"), REDACTED),
    # any random word of 32 or more with a digit (login codes, secrets, hashes),
    # except a UUID: those are Celery's task ids
    (
        re.compile(
            r"(?<![\w-])(?![0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![\w-]))"
            r"(?=[A-Za-z_-]*\d)[\w-]{32,}(?![\w-])"
        ),
        REDACTED,
    ),
    # mainland mobile numbers
    (re.compile(r"(?<![\d.])(?:\+?86[- ]?)?1[3-9]\d{9}(?!\d)"), REDACTED),
)


# Our own ids (`models/base.py`) and Celery's: new in each line, so no cache helps.
_OWN_ID = re.compile(
    r"[a-z]{1,3}_[0-9a-v]{26}\Z|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z"
)


def scrub(text: str) -> str:
    """Return ``text`` with everything that looks like a secret or person replaced."""
    if len(text) < MIN_SUSPECT or _OWN_ID.match(text):
        return text
    if len(text) <= CACHED_LENGTH:
        return _scrub_cached(text)
    return _scrub(text)


def _scrub(text: str) -> str:
    if _SUSPECT.search(text) is None:
        return text
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


# Event names, routes and logger names repeat: a look-up instead of eleven searches.
_scrub_cached = lru_cache(maxsize=4096)(_scrub)


def redact(
    _logger: object, _method: str, event_dict: MutableMapping[str, object]
) -> MutableMapping[str, object]:
    """Structlog processor: replace what may not be written, in place."""
    for key, value in event_dict.items():
        if key not in ALLOWED_KEYS:
            event_dict[key] = REDACTED
        elif isinstance(value, str):
            event_dict[key] = scrub(value)
        elif not isinstance(value, bool | float | None):
            event_dict[key] = _clean(value)
    return event_dict


def _clean(value: object) -> object:
    """Scrub a value that is no plain one, by the same rules at every depth."""
    if isinstance(value, Mapping):
        return redact(None, "", {str(key): part for key, part in value.items()})
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(part) for part in value]
    if isinstance(value, bool | float | None):
        return value
    text = scrub(str(value))
    # A large number may be a phone, so it is looked at; if harmless it stays one.
    return value if isinstance(value, int) and text == str(value) else text
