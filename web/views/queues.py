"""Queues on the internal listener."""

from __future__ import annotations

import msgspec

from web.fields import LaneName, PageLimit
from web.ops_guard import ADMIN_PREFIX
from web.routes import Auth, Call, Limit, Routes, Spec
from web.services.queues import Queues

ROUTES = Routes("queues", ADMIN_PREFIX)


class QueuesQuery(msgspec.Struct, forbid_unknown_fields=True):
    """``cursor`` is the `next_cursor` last received; without ``limit`` all are told."""

    cursor: LaneName | None = None
    limit: PageLimit = 100


@ROUTES.get(
    "/queues",
    Spec(
        summary="See what waits in each lane",
        description="Answers also while a store is away; `away` names it.",
        query=QueuesQuery,
        answer=Queues,
        auth=Auth.ADMIN,
        limit=Limit.NONE,
    ),
)
def read_queues(call: Call, query: QueuesQuery) -> Queues:
    """Return rows, messages and readers of each lane."""
    return call.services.support.queues.read(query.cursor, query.limit)
