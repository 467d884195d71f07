"""What people ask of the outbox and what they are told."""

from __future__ import annotations

import msgspec

from models.outbox_item import OutboxItem
from models.outbox_list import Shown


class OutboxPage(msgspec.Struct):
    """One page of rows."""

    items: list[OutboxItem]
    next_cursor: str | None
    has_more: bool


class Replayed(msgspec.Struct):
    """What a replay of many did; the last of them is due at ``last_due_at``."""

    replayed: int
    remaining: int
    last_due_at: int | None
    ids: list[str]


class Discarded(msgspec.Struct):
    """What a discard of many did."""

    discarded: int
    remaining: int
    ids: list[str]


class OutboxQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows a person means; what is left out means any."""

    state: Shown | None = None
    name: str | None = None
    lane: str | None = None
    last_error_contains: str | None = None
    created_before: int | None = None
