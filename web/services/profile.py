"""Reading and changing one's own profile: cache-aside, then SQL as the truth."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from models.errors import RedisUnavailable
from models.events import Event, EventType
from models.guest_ids import began_as_guest
from models.users import (
    Profile,
    ensure_user,
    find_profile,
    pending_user,
    update_profile,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from models.database import Database, UnitOfWork
    from models.idempotency import Once
    from web.services.caller import Claims

_encode: Final = msgspec.json.Encoder().encode


class ProfileCache(Protocol):
    """Encoded profiles by user id; see `models/stores/cache.py`."""

    def load(self, user_id: str, load: Callable[[], bytes | None]) -> bytes | None:
        """Return the cached profile, or what ``load`` gives, once for all who ask."""

    def delete(self, user_id: str) -> None:
        """Forget the profile; `RedisUnavailable` when Redis is away."""


class ProfileService:
    """What a user may do with their own profile."""

    def __init__(self, database: Database, cache: ProfileCache) -> None:
        self._database = database
        self._cache = cache

    def get(self, claims: Claims) -> Profile | msgspec.Raw:
        """Return the profile; ``pending`` from the token while SQL has no row yet.

        The cached bytes are passed through unread. Raises `DatabaseUnavailable`
        only when neither cache nor SQL can tell.
        """
        user_id = claims.user_id
        stored = self._cache.load(user_id, lambda: self._encoded(claims))
        return pending_profile(claims) if stored is None else msgspec.Raw(stored)

    def update(
        self, claims: Claims, changes: Mapping[str, Any], once: Once | None = None
    ) -> Profile:
        """Set the fields named in ``changes`` and publish ``profile.updated``.

        Row and event share one commit; the cache entry goes after it, so a reader
        meets the new row. Redis away: the old entry lives out its short life.
        """

        def act(work: UnitOfWork) -> Profile:
            if find_profile(work.session, claims.user_id) is None:
                known_since = claims.opened_at
                ensure_user(work.session, claims.user_id, claims.app_id, known_since)
            profile = update_profile(work.session, claims.user_id, changes)
            data = {"changed": sorted(changes)}
            work.publish(Event(EventType.PROFILE_UPDATED, claims.user_id, data))
            return _with_login(profile, claims)

        profile = self._database.transact(act, once)
        with suppress(RedisUnavailable):
            self._cache.delete(claims.user_id)
        return profile

    def _encoded(self, claims: Claims) -> bytes | None:
        with self._database.read() as session:
            profile = find_profile(session, claims.user_id)
        return None if profile is None else _encode(_with_login(profile, claims))


def _with_login(profile: Profile, claims: Claims) -> Profile:
    """Return ``profile`` with the login its row, made by an early write, lacks yet."""
    if profile.login_count:
        return profile
    return msgspec.structs.replace(
        profile, login_count=1, last_login_at=claims.opened_at
    )


def pending_profile(claims: Claims) -> Profile:
    """Return what the session itself tells about a user SQL does not know yet."""
    user_id = claims.user_id
    guest = began_as_guest(user_id)
    return pending_user(user_id, claims.opened_at, is_guest=guest)
