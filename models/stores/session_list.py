"""Which sessions Redis lists for a user: also those that SQL has not heard of yet.

Redis away: every method raises `RedisUnavailable`. Neighbour: `models/session_list.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.stores.connection import SharedPipeline
    from models.stores.keys import Keys

FIELDS = ("user", "app", "revoked", "generation", "created", "rotated", "epoch")


class SessionCopy(NamedTuple):
    """A session as Redis holds it; times are epoch ms."""

    id: str
    user_id: str
    app_id: str
    live: bool
    generation: int
    created_at: int
    rotated_at: int
    epoch: int


class SessionListStore:
    """Looks at the copies that `models/stores/sessions.py` writes."""

    def __init__(self, redis: SharedPipeline, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    def newest(self, user_id: str, limit: int) -> list[SessionCopy]:
        """Return up to ``limit`` of the user's sessions that live, newest first."""
        ids, standing = self._redis.execute_many(
            [
                ("ZREVRANGE", self._keys.sessions(user_id), 0, limit - 1),
                ("HMGET", self._keys.standing(user_id), "epoch", "banned"),
            ]
        )
        epoch, banned = int(standing[0] or 0), standing[1] == b"1"
        copies = self._read([name.decode() for name in ids])
        return [
            copy
            for copy in copies
            if copy.user_id == user_id
            and copy.live
            and not banned
            and copy.epoch >= epoch
        ]

    def find(self, session_id: str) -> SessionCopy | None:
        """Return the copy of a session, None when Redis has none."""
        return next(iter(self._read([session_id])), None)

    def _read(self, session_ids: Sequence[str]) -> list[SessionCopy]:
        if not session_ids:
            return []
        found = self._redis.execute_many(
            [("HMGET", self._keys.session(name), *FIELDS) for name in session_ids]
        )
        return [
            _copy(name, fields)
            for name, fields in zip(session_ids, found, strict=True)
            if fields[0] is not None
        ]


def _copy(session_id: str, fields: Sequence[bytes | None]) -> SessionCopy:
    user, app, revoked, generation, created, rotated, epoch = fields
    return SessionCopy(
        session_id,
        (user or b"").decode(),
        # A mark of an end may stand alone, where Redis had forgotten the session.
        (app or b"").decode(),
        revoked is None and app is not None,
        int(generation or 1),
        int(created or 0),
        int(rotated or 0),
        int(epoch or 0),
    )
