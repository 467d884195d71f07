"""The outbox on the internal listener: list, replay and discard, one or many."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from models.outbox_item import OutboxItem
from models.outbox_list import Shown
from web.fields import CursorText, FilledText, LaneName, PageLimit, Text, WorkName
from web.ops_guard import ADMIN_PREFIX
from web.routes import Auth, Call, Limit, Routes, Spec
from web.services.outbox_shapes import Discarded, OutboxPage, OutboxQuery, Replayed

ROUTES = Routes("outbox", ADMIN_PREFIX)

# One call changes at most this many rows: it must be answered within seconds.
Many = Annotated[int, Meta(ge=1, le=1000)]
PerSecond = Annotated[float, Meta(ge=0.1, le=1000)]
EpochMs = Annotated[int, Meta(ge=0, le=2**53)]
ONE = ("not_found", "state_forbids")


class OutboxListQuery(msgspec.Struct, forbid_unknown_fields=True):
    """``stuck`` are rows unfinished for longer than `RESEND_AFTER_S`."""

    state: Shown | None = None
    name: WorkName | None = None
    lane: LaneName | None = None
    cursor: CursorText | None = None
    limit: PageLimit = 50


class DiscardBody(msgspec.Struct, forbid_unknown_fields=True):
    """Why the work is given up; whoever waits for its operation reads it too."""

    reason: FilledText = "discarded by an operator"


class ReplayManyBody(msgspec.Struct, forbid_unknown_fields=True):
    """Which dead rows, oldest first, and how many of them are due in a second."""

    state: Literal["dead"] = "dead"
    name: WorkName | None = None
    lane: LaneName | None = None
    last_error_contains: Text | None = None
    created_before: EpochMs | None = None
    limit: Many = 100
    per_second: PerSecond = 10.0


class DiscardManyBody(msgspec.Struct, forbid_unknown_fields=True):
    """Which rows are given up, oldest first, and why."""

    reason: FilledText
    state: Literal["dead", "ready", "stuck"] = "dead"
    name: WorkName | None = None
    lane: LaneName | None = None
    last_error_contains: Text | None = None
    created_before: EpochMs | None = None
    limit: Many = 100


@ROUTES.get(
    "/outbox",
    Spec(
        summary="List work",
        description="Latest change first when a state is asked for, else newest first.",
        query=OutboxListQuery,
        answer=OutboxPage,
        auth=Auth.ADMIN,
        limit=Limit.NONE,
    ),
)
def list_outbox(call: Call, query: OutboxListQuery) -> OutboxPage:
    """Return one page of rows."""
    wanted = OutboxQuery(state=query.state, name=query.name, lane=query.lane)
    return call.services.support.outbox.page(wanted, query.cursor, query.limit)


@ROUTES.post(
    "/outbox/<row_id>/replay",
    Spec(
        summary="Run dead work again",
        answer=OutboxItem,
        auth=Auth.ADMIN,
        limit=Limit.NONE,
        idempotent=True,
        reasons=ONE,
    ),
)
def replay_one(call: Call, row_id: str) -> OutboxItem:
    """Make a dead row ready, with its attempts before it; its operation goes on."""
    return call.services.support.outbox.replay(row_id, call.once)


@ROUTES.post(
    "/outbox/<row_id>/discard",
    Spec(
        summary="Give work up",
        description="Dead, ready or stuck work; its operation fails with the reason.",
        body=DiscardBody,
        may_omit_body=True,
        answer=OutboxItem,
        auth=Auth.ADMIN,
        limit=Limit.NONE,
        idempotent=True,
        reasons=ONE,
    ),
)
def discard_one(call: Call, body: DiscardBody, row_id: str) -> OutboxItem:
    """Close a row for good, with its reason in the audit log."""
    return call.services.support.outbox.discard(row_id, body.reason, call.once)


@ROUTES.post(
    "/outbox/replay",
    Spec(
        summary="Run many dead works again, at a rate",
        description="Ask again, under another key, while `remaining` is above 0.",
        body=ReplayManyBody,
        answer=Replayed,
        auth=Auth.ADMIN,
        limit=Limit.NONE,
        idempotent=True,
    ),
)
def replay_many(call: Call, body: ReplayManyBody) -> Replayed:
    """Make dead rows ready, their due times spread by the rate."""
    outbox = call.services.support.outbox
    return outbox.replay_many(_wanted(body), body.limit, body.per_second, call.once)


@ROUTES.post(
    "/outbox/discard",
    Spec(
        summary="Give many works up",
        description="Ask again, under another key, while `remaining` is above 0.",
        body=DiscardManyBody,
        answer=Discarded,
        auth=Auth.ADMIN,
        limit=Limit.NONE,
        idempotent=True,
    ),
)
def discard_many(call: Call, body: DiscardManyBody) -> Discarded:
    """Close rows for good, each with the reason in the audit log."""
    outbox = call.services.support.outbox
    return outbox.discard_many(_wanted(body), body.limit, body.reason, call.once)


def _wanted(body: ReplayManyBody | DiscardManyBody) -> OutboxQuery:
    return OutboxQuery(
        state=body.state,
        name=body.name,
        lane=body.lane,
        last_error_contains=body.last_error_contains,
        created_before=body.created_before,
    )
