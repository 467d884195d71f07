"""Which reasons a route may answer with: from its token, limit, body and own words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from web.errors import PROBLEMS
from web.routes import Auth, Limit

if TYPE_CHECKING:
    from web.routes import Route

_ALWAYS: Final = (
    "validation_failed",
    "method_not_allowed",
    "internal",
    "unavailable",
)
_BODY_REASONS: Final = (
    "invalid_json",
    "unknown_field",
    "request_timeout",
    "body_too_large",
    "unsupported_media_type",
)
_TOKEN_REASONS: Final = {
    Auth.PUBLIC: (),
    Auth.USER: (
        "token_missing",
        "token_invalid",
        "token_expired",
        "session_revoked",
        "user_banned",
    ),
    Auth.ADMIN: ("token_missing", "token_invalid"),
}


def reasons_of(route: Route) -> list[str]:
    """Return every reason this route may answer, in the order of the table."""
    spec = route.spec
    reasons = {*_ALWAYS, *spec.reasons}
    if route.body is not None:
        reasons.update(_BODY_REASONS)
    reasons.update(_TOKEN_REASONS[spec.auth])
    if spec.limit is not Limit.NONE:
        reasons.add("rate_limited")
    if spec.auth is Auth.USER:
        reasons.add("high_risk_user")
        if spec.limit is Limit.WRITE and not spec.unverified:
            reasons.add("verification_required")
    if spec.idempotent:
        reasons.add("idempotency_key_reused")
    return [reason for reason in PROBLEMS if reason in reasons]
