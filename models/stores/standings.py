"""Standings of users where admission reads them; the truth is `models/standings.py`.

Only standings that differ from everybody's are kept, and they do not expire. A mark
tells that all of them are here: without it (Redis was wiped) a login asks SQL.
Redis away: every method raises `RedisUnavailable`.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from models.stores.keys import LOADING_LIFE_S
from models.stores.scripts import load_script

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from models.standings import UserStanding
    from models.stores.connection import SharedPipeline
    from models.stores.keys import Keys

PUT_STANDINGS = load_script("put_standings")
END_LOADING = load_script("end_loading")
CLAIM_ALIAS = load_script("claim_alias")


class StandingStore:
    """The copies, and whether they are complete."""

    def __init__(self, redis: SharedPipeline, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

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

    def is_complete(self) -> bool:
        """Whether every special standing is here."""
        return self._redis.execute("GET", self._keys.standings) is not None

    def load(self, put_all: Callable[[], None]) -> bool:
        """Have ``put_all`` put every standing, then mark them complete.

        False when Redis forgot some meanwhile, or another loader began: look again.
        """
        mark = secrets.token_hex(8)
        loading = self._keys.standings_loading
        self._redis.execute("SET", loading, mark, "EX", LOADING_LIFE_S)
        put_all()
        return bool(
            self._redis.run(END_LOADING, [loading, self._keys.standings], [mark])
        )


def _row(standing: UserStanding) -> tuple[str | int, ...]:
    until = standing.action_until
    return (
        standing.number,
        standing.epoch,
        "1" if standing.banned else "",
        "" if standing.action == "allow" else standing.action,
        "" if until is None else until,
    )
