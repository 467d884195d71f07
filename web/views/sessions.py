"""The caller's live sessions and their devices."""

from __future__ import annotations

import msgspec

from web.fields import CursorText, PageLimit
from web.routes import Call, Limit, Routes, Spec
from web.services.session_end import Revoked
from web.services.session_shapes import SessionPage

ROUTES = Routes("sessions")


class SessionsQuery(msgspec.Struct, forbid_unknown_fields=True):
    """``cursor`` is the `next_cursor` last received."""

    cursor: CursorText | None = None
    limit: PageLimit = 50


@ROUTES.get(
    "/sessions",
    Spec(
        summary="List my live sessions",
        description=(
            "Newest first. A session is listed at once, with the `device` it was "
            "opened from. `ip_city` is only told where the operator has a table."
        ),
        query=SessionsQuery,
        answer=SessionPage,
        reasons=("unavailable",),
    ),
)
def list_sessions(call: Call, query: SessionsQuery) -> SessionPage:
    """Return one page of the caller's sessions."""
    return call.services.my_sessions.page(call.claims, query.cursor, query.limit)


@ROUTES.delete(
    "/sessions/<session_id>",
    Spec(
        summary="End one of my sessions",
        description=(
            "Another one, or this one; `revoked` is 0 when it was over before. After "
            "the end of its own session a repetition gets 401, unless token and "
            "Idempotency-Key are the same: then the kept answer."
        ),
        answer=Revoked,
        limit=Limit.WRITE,
        idempotent=True,
        may_end_itself=True,
        reasons=("not_found", "unavailable"),
    ),
)
def end_session(call: Call, session_id: str) -> Revoked:
    """End a session of the caller."""
    return call.services.my_sessions.end_one(call.claims, session_id, call.once)
