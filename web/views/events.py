"""The events channel: what happened to the caller, asked for or streamed."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from web.fields import PageLimit
from web.routes import Call, Lines, Routes, Spec
from web.services.event_follower import PAGE, Wish
from web.services.events import EventPage

ROUTES = Routes("events")

# As our numbers are written; 18 digits fit every database.
EventCursor = Annotated[str, Meta(max_length=18, pattern=r"^(0|[1-9][0-9]*)$(?!\n)")]
WaitMs = Annotated[int, Meta(ge=0, le=25_000)]


class EventsQuery(msgspec.Struct, forbid_unknown_fields=True):
    """``cursor`` is the one last received; without it the channel begins now."""

    cursor: EventCursor | UnsetType = UNSET
    wait_ms: WaitMs = 0
    limit: PageLimit = PAGE


class EventData(msgspec.Struct):
    """Something that happened; ``id`` is the cursor that follows it."""

    id: str
    type: str
    at: int
    data: dict[str, Any]


class EventsData(msgspec.Struct):
    """Events in order, without gaps or repeats, and the cursor to ask with next."""

    events: list[EventData]
    cursor: str


class EventLine(msgspec.Struct):
    """One line of the stream: an event, or a heartbeat, which has only its type."""

    type: str
    id: str | UnsetType = UNSET
    at: int | UnsetType = UNSET
    data: dict[str, Any] | UnsetType = UNSET


@ROUTES.get(
    "/events",
    Spec(
        summary="Follow my events",
        description=(
            "A long poll: answers as soon as an event follows `cursor`, at the latest "
            "after `wait_ms`, and before an `X-Timeout-Ms` that was sent. With "
            "`Accept: application/x-ndjson` a stream instead, one JSON object a line, "
            "with a heartbeat every 10 s; `wait_ms` and `limit` mean nothing then, "
            "the header `X-Event-Cursor` tells where it begins, and it ends with the "
            "token or the session. A cursor that cannot be followed gives one "
            "`resync` event: load the state anew, go on with its `id`. Clients ignore "
            "types they do not know."
        ),
        query=EventsQuery,
        answer=EventsData,
        line=EventLine,
        reasons=("unavailable", "overloaded"),
    ),
)
def read_events(call: Call, query: EventsQuery) -> EventPage | Lines:
    """Wait for what follows the cursor, or stream it."""
    cursor = None if query.cursor is UNSET else int(query.cursor)
    wish = Wish(call.claims, cursor, query.limit, call.line)
    if call.wants_lines:
        feed = call.services.events.stream(wish)
        return Lines(feed, (("X-Event-Cursor", feed.cursor),))
    with call.waiting():
        return call.services.events.poll(wish, query.wait_ms, call.visit.patience)
