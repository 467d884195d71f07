"""Which sessions Redis lists for a user: also those that SQL has not heard of yet.

Redis away: every method raises `RedisUnavailable`. Neighbour: `models/session_list.py`.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from models.login_entry import LoginEntry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.stores.connection import SharedPipeline
    from models.stores.keys import Keys

FIELDS = (
    *("user", "app", "revoked", "generation", "created", "rotated", "epoch", "entry"),
)
_decode = msgspec.json.Decoder(LoginEntry).decode


class SessionCopy(NamedTuple):
    """A session as Redis holds it; times are epoch ms.

    ``place`` is where in the journal it began, ``entry`` what stands there until SQL
    has it.
    """

    id: str
    user_id: str
    app_id: str
    live: bool
    generation: int
    created_at: int
    rotated_at: int
    epoch: int
    place: str
    entry: LoginEntry | None = None


class SessionListStore:
    """Looks at the copies that `models/stores/sessions.py` writes."""

    def __init__(self, redis: SharedPipeline, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    def newest(self, user_id: str, limit: int) -> list[SessionCopy]:
        """Return up to ``limit`` of the user's sessions that live, newest first.

        With their entries: asked before SQL, those SQL then does not know have one.
        """
        ids, standing = self._redis.execute_many(
            [
                ("ZREVRANGE", self._keys.sessions(user_id), 0, limit - 1),
                ("HMGET", self._keys.standing(user_id), "epoch", "banned"),
            ]
        )
        epoch, banned = int(standing[0] or 0), standing[1] == b"1"
        copies = self._read([name.decode() for name in ids])
        live = [
            copy
            for copy in copies
            if copy.user_id == user_id
            and copy.live
            and not banned
            and copy.epoch >= epoch
        ]
        return self._with_entries(live)

    def find(self, session_id: str) -> SessionCopy | None:
        """Return the copy of a session, None when Redis has none."""
        return next(iter(self._read([session_id])), None)

    def _with_entries(self, copies: Sequence[SessionCopy]) -> list[SessionCopy]:
        if not copies:
            return []
        # A copy of an earlier release has no place, and 0 is nobody's.
        places = [copy.place or "0" for copy in copies]
        found = self._redis.execute_many(
            [("XRANGE", self._keys.logins, place, place) for place in places]
        )
        entries = (_entry(lines) for lines in found)
        pairs = zip(copies, entries, strict=True)
        return [copy._replace(entry=entry) for copy, entry in pairs]

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
    user, app, revoked, generation, created, rotated, epoch, place = fields
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
        (place or b"").decode(),
    )


def _entry(lines: Sequence[tuple[bytes, Sequence[bytes]]]) -> LoginEntry | None:
    for _, (_, body) in lines:
        # What cannot be read is for the enrichment to set aside.
        with suppress(msgspec.MsgspecError):
            return _decode(body)
    return None
