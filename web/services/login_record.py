"""What a login left behind for repeats of its code: a session, or why there is none.

Kept in Redis for the life of the code; holds ids only, tokens are signed anew and
come out equal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from models.errors import (
    Forbidden,
    KuaidaError,
    Limited,
    LoginCodeInvalid,
    Unavailable,
    Upstream,
)
from models.login_entry import FIRST_GENERATION
from web.services.tokens import Grant

if TYPE_CHECKING:
    from models.login_entry import LoginEntry

MARK = b"r"
# What a code is refused for as long as it lives.
LASTING = ("login_code_invalid", "high_risk_user")
_KINDS: tuple[type[KuaidaError], ...] = (
    LoginCodeInvalid,
    Forbidden,
    Limited,
    Upstream,
    Unavailable,
)


class LoginRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A finished exchange; ``kind`` names the error class when it failed."""

    session_id: str = ""
    user_id: str = ""
    app_id: str = ""
    at: int = 0
    kind: str = ""
    reason: str = ""
    retry_after_ms: int | None = None
    epoch: int = 0
    # Of a session that has been refreshed since: its present generation.
    generation: int = FIRST_GENERATION
    rotated_at: int = 0

    def grant(self, secret: str) -> Grant:
        """Return the grant of the session's tokens."""
        return Grant(
            self.session_id,
            self.user_id,
            self.app_id,
            self.generation,
            self.rotated_at or self.at,
            self.epoch,
            self.at,
            secret,
        )


def record_of(entry: LoginEntry) -> LoginRecord:
    """Return the record of a login that succeeded."""
    return LoginRecord(
        entry.session_id, entry.user_id, entry.app_id, entry.at, epoch=entry.epoch
    )


def encode_record(record: LoginRecord) -> bytes:
    """Return the bytes to keep; a known user's profile may follow on a second line."""
    return MARK + msgspec.json.encode(record)


def decode_record(raw: bytes) -> tuple[LoginRecord, bytes]:
    """Return the record and the cached profile that was kept with it, if any."""
    first, _, profile = raw[len(MARK) :].partition(b"\n")
    return msgspec.json.decode(first, type=LoginRecord), profile


def is_record(raw: bytes | None) -> bool:
    """Whether ``raw`` is a record and not the mark of an exchange in flight."""
    return raw is not None and raw.startswith(MARK)


def failure_record(error: KuaidaError) -> LoginRecord:
    """Return the record from which `raise_failure` raises the same error again."""
    return LoginRecord(
        user_id=error.user_id,
        kind=type(error).__name__,
        reason=error.reason,
        retry_after_ms=error.retry_after_ms,
    )


def is_lasting(error: KuaidaError) -> bool:
    """Whether everybody who sends the code is to be refused so, not only those now."""
    return error.reason in LASTING


def raise_failure(record: LoginRecord) -> None:
    """Raise the error a failed exchange ended with; nothing for a success."""
    for kind in _KINDS:
        if kind.__name__ == record.kind:
            error = kind(reason=record.reason, retry_after_ms=record.retry_after_ms)
            error.user_id = record.user_id
            raise error
