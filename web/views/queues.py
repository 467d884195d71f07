"""Queues on the internal listener."""

from __future__ import annotations

from web.ops_guard import ADMIN_PREFIX
from web.routes import Auth, Call, Limit, Routes, Spec
from web.services.queues import Queues

ROUTES = Routes("queues", ADMIN_PREFIX)


@ROUTES.get(
    "/queues",
    Spec(
        summary="See what waits in each lane",
        description="Answers also while a store is away; `away` names it.",
        answer=Queues,
        auth=Auth.ADMIN,
        limit=Limit.NONE,
    ),
)
def read_queues(call: Call) -> Queues:
    """Return rows, messages and readers of each lane."""
    return call.services.support.queues.read()
