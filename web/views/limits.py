"""The limits in force, and whom they refuse, on the internal listener."""

from __future__ import annotations

import msgspec

from web.fields import PageLimit
from web.ops_guard import ADMIN_PREFIX
from web.routes import Auth, Call, Limit, Routes, Spec
from web.services.risk_shapes import LimitsView

ROUTES = Routes("limits", ADMIN_PREFIX)


class LimitsQuery(msgspec.Struct, forbid_unknown_fields=True):
    """``limit`` is how many of the most refused are told; there is no next page."""

    limit: PageLimit = 100


@ROUTES.get(
    "/limits",
    Spec(
        summary="See the limits and who meets them",
        description="`refused` counts the last hour at most; in a dry run, those who "
        "would have been refused.",
        query=LimitsQuery,
        answer=LimitsView,
        auth=Auth.ADMIN,
        limit=Limit.NONE,
    ),
)
def read_limits(call: Call, query: LimitsQuery) -> LimitsView:
    """Return the rules, whether they are tried only, and the most refused."""
    return call.services.support.risk.limits(query.limit)
