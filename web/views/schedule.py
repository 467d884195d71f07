"""The clock on the internal listener."""

from __future__ import annotations

import msgspec

from web.fields import JobName, PageLimit
from web.ops_guard import ADMIN_PREFIX
from web.routes import Auth, Call, Limit, Routes, Spec
from web.services.schedule import Schedule

ROUTES = Routes("schedule", ADMIN_PREFIX)


class ScheduleQuery(msgspec.Struct, forbid_unknown_fields=True):
    """``cursor`` is the `next_cursor` last received; without ``limit`` all are told."""

    cursor: JobName | None = None
    limit: PageLimit = 100


@ROUTES.get(
    "/schedule",
    Spec(
        summary="See next, last and missed runs",
        query=ScheduleQuery,
        answer=Schedule,
        auth=Auth.ADMIN,
        limit=Limit.NONE,
    ),
)
def read_schedule(call: Call, query: ScheduleQuery) -> Schedule:
    """Return the jobs of the clock."""
    return call.services.support.schedule.read(query.cursor, query.limit)
