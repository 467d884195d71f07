"""Standings of users where admission reads them; the truth is `models/standings.py`.

Only standings that differ from everybody's are kept, and they do not expire. A mark
tells that all of them are here, and all ends of sessions; it names the server it was
written to. Without it (Redis was wiped, or is another, or the same one started again
from a file that may be old) SQL is asked. Redis away: every method raises
`RedisUnavailable`. Decision 0029 tells why.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, NamedTuple

from models.stores.keys import LOADING_LIFE_S
from models.stores.scripts import load_script

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from models.standings import UserStanding
    from models.stores.connection import SharedPipeline
    from models.stores.keys import Keys
    from models.stores.lane import Greeting

CHECK_STANDINGS = load_script("check_standings")
BEGIN_LOADING = load_script("begin_loading")
PUT_STANDINGS = load_script("put_standings")
END_LOADING = load_script("end_loading")
CLAIM_ALIAS = load_script("claim_alias")


class Gap(NamedTuple):
    """From when on (epoch ms) Redis may lack changes of standings, and ends."""

    standings: int
    ends: int


def check_of(keys: Keys) -> Greeting:
    """Return what every connection asks first: whether this server wrote the mark.

    A server that does not tell (the user may not use INFO) is never sure of anything.
    """
    names = keys.standings, keys.standings_seen
    return (
        ("EVAL", CHECK_STANDINGS.source, len(names), *names, ""),
        ("DEL", keys.standings),
    )


class StandingStore:
    """The copies, and whether they are complete.

    ``look_back_ms`` is how late an end may have been told to Redis.
    """

    def __init__(
        self, redis: SharedPipeline, keys: Keys, *, look_back_ms: int = 0
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._look_back_ms = look_back_ms

    def put(self, user_id: str, standing: UserStanding) -> None:
        """Write the copy, unless a later change stands there already."""
        self.put_many([(user_id, standing)])

    def put_many(self, standings: Sequence[tuple[str, UserStanding]]) -> None:
        """Write the copies of those that were ever changed, in one round trip."""
        special = [(user, one) for user, one in standings if one.number]
        if special:
            keys = [self._keys.standing(user) for user, _ in special]
            self._redis.run(
                PUT_STANDINGS, keys, [a for _, s in special for a in _row(s)]
            )

    def put_aliases(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Write which user each alias stands for; that never changes."""
        if pairs:
            self._redis.execute_many(
                [("HSET", self._keys.standing(a), "alias", user) for a, user in pairs]
            )

    def claim_alias(self, alias_id: str, guest_id: str) -> str:
        """Let ``alias_id`` stand for a guest unless it is somebody's already.

        Returns the user as whom logins under ``alias_id`` go on.
        """
        keys = [self._keys.standing(alias_id), self._keys.sessions(alias_id)]
        owner: bytes = self._redis.run(CLAIM_ALIAS, keys, [guest_id, alias_id])
        return owner.decode()

    def is_whole(self, now: int | None = None) -> bool:
        """Whether every special standing and every end is here, told to this server.

        With ``now`` (of the database) Redis notes that it had all at that time.
        """
        names = [self._keys.standings, self._keys.standings_seen]
        return bool(self._redis.run(CHECK_STANDINGS, names, [now or ""]))

    def load(self, put_all: Callable[[Gap], None], *, now: int = 0) -> bool:
        """Have ``put_all`` put what may be missing, then mark all complete.

        ``now`` is the database's time before ``put_all`` reads. False when Redis forgot
        some meanwhile, or another loader was done first: look again.
        """
        loading, seen_at = self._keys.standings_loading, self._keys.standings_seen
        mark, seen = self._redis.run(
            BEGIN_LOADING, [loading, seen_at], [secrets.token_hex(8), LOADING_LIFE_S]
        )
        put_all(self._gap(seen, now))
        names = [loading, self._keys.standings, seen_at]
        return bool(self._redis.run(END_LOADING, names, [mark, now]))

    def _gap(self, seen: bytes, now: int) -> Gap:
        if not seen:
            # Wiped: no copy of a session is here that SQL did not just vouch for.
            return Gap(0, max(0, now - self._look_back_ms))
        since = max(0, int(seen) - self._look_back_ms)
        return Gap(since, since)


def _row(standing: UserStanding) -> tuple[str | int, ...]:
    until = standing.action_until
    return (
        standing.number,
        standing.epoch,
        "1" if standing.banned else "",
        "" if standing.action == "allow" else standing.action,
        "" if until is None else until,
    )
