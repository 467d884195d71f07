"""One list of what happened, by any id, on the internal listener."""

from __future__ import annotations

from models.timeline import Timeline
from web.ops_guard import ADMIN_PREFIX
from web.routes import Auth, Call, Limit, Routes, Spec

ROUTES = Routes("timeline", ADMIN_PREFIX)


@ROUTES.get(
    "/timeline/<name>",
    Spec(
        summary="See what happened around an id",
        description="The id of a request, operation, outbox row, Celery task, "
        "notification, login, session, user event, or of what work was about. A "
        "refused request tells why: the `rule` of its bucket or lock-out, or how its "
        "user stands; `see` names the route beside this one that says more. Of one "
        "bucket 20 refusals a minute are kept, of the others the log has the request.",
        answer=Timeline,
        auth=Auth.ADMIN,
        limit=Limit.NONE,
        reasons=("not_found",),
    ),
)
def read_timeline(call: Call, name: str) -> Timeline:
    """Return rows, attempts, WeChat's answers and what users were told, in order."""
    return call.services.support.timeline.read(name)
