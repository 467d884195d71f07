"""The rule by which a refresh token is used: a successor, a grace, or the end.

Here for a row of `models/sessions.py`; `models/stores/lua/rotate_session.lua` applies
the same rule to the copy in Redis.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Literal, NamedTuple

from models.rotation_trail import read_trail, write_trail

if TYPE_CHECKING:
    from models.sessions import Session
    from models.standings import UserStanding

Outcome = Literal[
    "rotated",
    "grace",
    "revoked",
    "banned",
    "blocked",
    "reused",
    "forged",
    "behind",
    "unsure",
    "unknown",
]


class Rotation(NamedTuple):
    """What became of a presented refresh token; ``at`` is when (epoch ms)."""

    outcome: Outcome
    generation: int = 0
    at: int = 0


class Presented(NamedTuple):
    """A refresh token as SQL sees it; ``ends_at`` is its successor's end."""

    generation: int
    made_at: int
    refresh_hash: str
    ends_at: int


def decide_rotation(
    row: Session,
    standing: UserStanding,
    presented: Presented,
    *,
    now: int,
    grace_ms: int,
) -> Rotation:
    """Apply the rotation rule (RFC 9700 4.14.2, with a grace) to a locked row.

    Each repeat inside its own grace gets the successor that the first use got, also
    when that has been rotated since. A generation above the row's is one that Redis
    issued and SQL has not heard of yet; the signature proves it ours, so it counts as
    current. When the presented one was made stands in itself, signed: the row may not
    know it.
    """
    barred = standing.barred_at(now)
    if barred is not None:
        return Rotation(barred)
    over = row.expires_at <= now or row.epoch < standing.epoch
    if over or row.revoked_at is not None:
        return Rotation("revoked")
    row.refresh_hash = row.refresh_hash or presented.refresh_hash
    if not hmac.compare_digest(row.refresh_hash, presented.refresh_hash):
        return Rotation("forged")
    made = read_trail(row.trail) | {row.generation: row.rotated_at}
    if presented.generation >= row.generation:
        made[presented.generation] = presented.made_at
        row.trail = write_trail(made, after=now - grace_ms)
        row.generation = presented.generation + 1
        row.rotated_at = row.last_seen_at = now
        row.expires_at = max(row.expires_at, presented.ends_at)
        return Rotation("rotated", row.generation, now)
    successor = presented.generation + 1
    if successor in made and now - made[successor] < grace_ms:
        return Rotation("grace", successor, made[successor])
    row.revoked_at, row.ended_by = now, "reused"
    return Rotation("reused")
