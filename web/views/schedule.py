"""The clock on the internal listener."""

from __future__ import annotations

from web.ops_guard import ADMIN_PREFIX
from web.routes import Auth, Call, Limit, Routes, Spec
from web.services.schedule import Schedule

ROUTES = Routes("schedule", ADMIN_PREFIX)


@ROUTES.get(
    "/schedule",
    Spec(
        summary="See next, last and missed runs",
        answer=Schedule,
        auth=Auth.ADMIN,
        limit=Limit.NONE,
    ),
)
def read_schedule(call: Call) -> Schedule:
    """Return every job of the clock."""
    return call.services.support.schedule.read()
