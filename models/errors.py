"""The error tree of the house; `web/errors.py` alone turns it into HTTP.

KuaidaError
+-- InvalidInput            validation_failed, unknown_field, invalid_json
+-- LoginCodeInvalid        login_code_invalid
+-- Unauthenticated         token_missing, token_invalid, token_expired,
|                           session_revoked, refresh_reused
+-- Forbidden               forbidden, user_banned, high_risk_user,
|                           verification_required
+-- NotFound                not_found
+-- Conflict                conflict, state_forbids, session_key_stale
+-- KeyReused               idempotency_key_reused
+-- OpenDataRefused         decrypt_failed, watermark_mismatch, signature_mismatch
+-- Limited                 rate_limited, locked_out
+-- Upstream                wechat_failed, wechat_timeout, wechat_unavailable
+-- Unavailable             unavailable, overloaded
    +-- RedisUnavailable    unavailable
    +-- DatabaseUnavailable unavailable
        +-- DeadlinePassed  unavailable
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.quota import Quota


@dataclass(frozen=True, slots=True)
class FieldFault:
    """One rejected field: its path (``device.id``), a stable reason and words."""

    field: str
    reason: str
    msg: str


class KuaidaError(Exception):
    """Base of every error a caller is told about.

    ``reason`` is the stable contract of `docs/errors`; ``retry_after_ms`` is set
    when waiting helps. The exception's text is for our log, never for the client.
    ``user_id`` is whom a refusal is about, where the request itself does not say it.
    """

    reason = "internal"

    def __init__(
        self,
        detail: str = "",
        *,
        reason: str | None = None,
        retry_after_ms: int | None = None,
        user_id: str = "",
    ) -> None:
        super().__init__(detail or reason or self.reason)
        if reason is not None:
            self.reason = reason
        self.retry_after_ms = retry_after_ms
        self.user_id = user_id


class InvalidInput(KuaidaError):
    """The request breaks a rule of its shape; ``faults`` names each field."""

    reason = "validation_failed"

    def __init__(
        self,
        detail: str = "",
        *,
        reason: str | None = None,
        faults: tuple[FieldFault, ...] = (),
    ) -> None:
        super().__init__(detail, reason=reason)
        self.faults = faults


class LoginCodeInvalid(KuaidaError):
    """WeChat refused the login code (40029 or 40163): call ``wx.login`` again."""

    reason = "login_code_invalid"


class Unauthenticated(KuaidaError):
    """The caller must refresh or log in; ``reason`` says which."""

    reason = "token_invalid"


class Forbidden(KuaidaError):
    """The caller is known and may not do this."""

    reason = "forbidden"


class NotFound(KuaidaError):
    """There is nothing at this name, or not for this caller."""

    reason = "not_found"


class Conflict(KuaidaError):
    """The request contradicts the present state."""

    reason = "conflict"


class KeyReused(KuaidaError):
    """The Idempotency-Key was used for another body."""

    reason = "idempotency_key_reused"


class OpenDataRefused(KuaidaError):
    """Encrypted data cannot be opened, or what is inside is not for here."""

    reason = "decrypt_failed"


class Limited(KuaidaError):
    """Too many requests, or locked out after failures; wait ``retry_after_ms``.

    ``quota`` is that of the limit that refused, None for a lock-out.
    """

    reason = "rate_limited"

    def __init__(
        self,
        detail: str = "",
        *,
        reason: str | None = None,
        retry_after_ms: int | None = None,
        quota: Quota | None = None,
    ) -> None:
        super().__init__(detail, reason=reason, retry_after_ms=retry_after_ms)
        self.quota = quota


class Upstream(KuaidaError):
    """WeChat failed, answered nonsense, was too slow, or is shut off by the breaker."""

    reason = "wechat_failed"


class Unavailable(KuaidaError):
    """A part we need is away; nothing was half done, try again after the wait."""

    reason = "unavailable"

    def __init__(
        self,
        detail: str = "",
        *,
        reason: str | None = None,
        retry_after_ms: int | None = 1000,
    ) -> None:
        super().__init__(detail, reason=reason, retry_after_ms=retry_after_ms)


class RedisUnavailable(Unavailable):
    """Redis did not answer in time, refused, or its breaker is open."""


class DatabaseUnavailable(Unavailable):
    """The SQL database did not answer, or no pooled connection came free in time."""


class DeadlinePassed(DatabaseUnavailable):
    """The caller's time was up before SQL had answered: it was rolled back."""
