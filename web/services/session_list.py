"""The caller's own live sessions: a list of them, and the end of one.

SQL has them with their devices; Redis adds those that enrichment has not written yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from config.clock import MS_PER_S
from models.errors import NotFound
from models.ip_cities import read_ip_cities
from models.session_list import DeviceFacts, LiveSession, Place, list_known, list_live
from models.sessions import find_owner
from web.services.session_end import SessionEnd
from web.services.session_entries import late_entry, list_copies, vouched_entry
from web.services.session_shapes import DeviceView, SessionPage, SessionView

if TYPE_CHECKING:
    from config.settings import Settings
    from models.database import Database
    from models.idempotency import Once
    from models.ip_cities import IpCities
    from models.login_entry import LoginEntry
    from models.stores.container import Stores
    from models.stores.session_list import SessionCopy
    from web.services.caller import Claims
    from web.services.session_end import Revoked


class SessionList:
    """What a user may see of their sessions, and end."""

    def __init__(
        self,
        settings: Settings,
        stores: Stores,
        database: Database,
        cities: IpCities,
        end: SessionEnd,
    ) -> None:
        self._life_ms = settings.tokens.refresh_s * MS_PER_S
        self._store = stores.session_list
        self._database = database
        self._cities = cities
        self._end = end

    def page(self, claims: Claims, cursor: str | None, limit: int) -> SessionPage:
        """Return one page; the current session is always in the list.

        Redis away: sessions that SQL does not know yet are left out, but for the
        current one. Raises `DatabaseUnavailable`.
        """
        before = _place_of(cursor)
        late = {one.id: one for one in [_own(claims), *self._late(claims)]}
        with self._database.read() as session:
            found = list_live(session, claims.user_id, before, limit + 1)
            for known in list_known(session, late):
                del late[known]
        found += [one for one in late.values() if not before or one.place < before]
        found.sort(key=lambda one: one.place, reverse=True)
        more, found = len(found) > limit, found[:limit]
        items = [self._view(one, claims.session_id) for one in found]
        return SessionPage(items, _cursor_of(found[-1]) if more else None, more)

    def end_one(
        self, claims: Claims, session_id: str, once: Once | None = None
    ) -> Revoked:
        """End a session of the caller; tells 0 when it was over before.

        Raises `NotFound` for one that is nobody's or another's, `DatabaseUnavailable`,
        and `RedisUnavailable` when SQL knows no such session and Redis may.
        """
        entry = self._described(claims, session_id)
        return self._end.end_asked(claims, [entry], once)

    def _late(self, claims: Claims) -> list[LiveSession]:
        return [_late(copy) for copy in list_copies(self._store, claims.user_id)]

    def _described(self, claims: Claims, session_id: str) -> LoginEntry:
        if session_id == claims.session_id:
            return vouched_entry(claims, session_id, self._life_ms)
        with self._database.read() as session:
            owner = find_owner(session, session_id)
        if owner is None:
            copy = self._store.find(session_id)
            if copy is not None and copy.user_id == claims.user_id:
                return late_entry(copy, self._life_ms)
        elif owner == claims.user_id:
            return vouched_entry(claims, session_id, self._life_ms)
        raise NotFound("no session of the caller")

    def _view(self, one: LiveSession, current: str) -> SessionView:
        return SessionView(
            id=one.id,
            device=_device(one.device),
            ip_city=self._cities.find(one.ip),
            created_at=one.created_at,
            last_seen_at=one.last_seen_at,
            current=one.id == current,
        )


def open_session_list(
    settings: Settings, stores: Stores, database: Database
) -> SessionList:
    """Return the list of this process; reads the table of cities."""
    cities = read_ip_cities(settings.accounts.ip_city_file)
    end = SessionEnd(settings, stores, database)
    return SessionList(settings, stores, database, cities, end)


def _own(claims: Claims) -> LiveSession:
    seen_at = max(claims.opened_at, claims.issued_at * MS_PER_S)
    return LiveSession(claims.session_id, claims.opened_at, seen_at)


def _late(copy: SessionCopy) -> LiveSession:
    """Return the session as its row will tell it."""
    entry, times = copy.entry, (copy.created_at, copy.rotated_at)
    if entry is None:
        return LiveSession(copy.id, *times)
    device = None
    if entry.device is not None:
        device = DeviceFacts(**msgspec.structs.asdict(entry.device))
    return LiveSession(copy.id, *times, entry.ip, device)


def _device(facts: DeviceFacts | None) -> DeviceView | None:
    return None if facts is None else DeviceView(*facts)


def _cursor_of(last: LiveSession) -> str:
    return f"{last.created_at}.{last.id}"


def _place_of(cursor: str | None) -> Place | None:
    if cursor is None:
        return None
    at, _, session_id = cursor.partition(".")
    return int(at), session_id
