"""One list of what happened, by any id, on the internal listener."""

from __future__ import annotations

import msgspec

from web.fields import CountedCursor, PageLimit
from web.ops_guard import ADMIN_PREFIX
from web.routes import Auth, Call, Limit, Routes, Spec
from web.services.timeline import TimelinePage

ROUTES = Routes("timeline", ADMIN_PREFIX)


class TimelineQuery(msgspec.Struct, forbid_unknown_fields=True):
    """``cursor`` is the `next_cursor` last received; without ``limit`` all is told."""

    cursor: CountedCursor | None = None
    limit: PageLimit | None = None


@ROUTES.get(
    "/timeline/<name>",
    Spec(
        summary="See what happened around an id",
        description="The id of a request, operation, outbox row, Celery task, "
        "notification, login, session, user event, or of what work was about. A "
        "refused request tells why: the `rule` of its bucket or lock-out, or how its "
        "user stands; `see` names the route beside this one that says more. Of one "
        "bucket 20 refusals a minute are kept, of the others the log has the request.",
        query=TimelineQuery,
        answer=TimelinePage,
        auth=Auth.ADMIN,
        limit=Limit.NONE,
        reasons=("not_found",),
    ),
)
def read_timeline(call: Call, query: TimelineQuery, name: str) -> TimelinePage:
    """Return rows, attempts, WeChat's answers and what users were told, in order."""
    return call.services.support.timeline.read(name, query.cursor, query.limit)
