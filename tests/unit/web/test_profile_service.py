"""Profiles over SQLite and a cache in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
import pytest

from models.database import Database, open_database
from models.errors import RedisUnavailable
from models.tables import METADATA
from models.user_events import UserEvent
from models.users import Profile
from web.services.caller import Claims
from web.services.profile import ProfileService

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from config.settings import Settings

CLAIMS = Claims("u_1", "se_1", "wxdemo0000000001", "j", 2_000, issued_at=1_100)


@dataclass
class MemoryCache:
    """The cache of one process, with a switch for Redis being away."""

    values: dict[str, bytes | None] = field(default_factory=dict)
    away: bool = False

    def load(self, user_id: str, load: Callable[[], bytes | None]) -> bytes | None:
        if self.away:
            return load()
        if user_id not in self.values:
            self.values[user_id] = load()
        return self.values[user_id]

    def delete(self, user_id: str) -> None:
        if self.away:
            raise RedisUnavailable
        self.values.pop(user_id, None)


@pytest.fixture
def sqlite(settings: Settings) -> Iterator[Database]:
    opened = open_database(settings)
    METADATA.create_all(opened.engine)
    yield opened
    opened.dispose()


@pytest.fixture
def cache() -> MemoryCache:
    return MemoryCache()


@pytest.fixture
def service(sqlite: Database, cache: MemoryCache) -> ProfileService:
    return ProfileService(sqlite, cache)


def test_answers_from_the_session_before_enrichment(service: ProfileService) -> None:
    profile = service.get(CLAIMS)
    assert profile == Profile(
        id="u_1", created_at=1_100_000, last_login_at=1_100_000, login_count=1
    )
    assert profile.profile_state == "pending"


def test_a_change_before_enrichment_makes_the_row(
    service: ProfileService, sqlite: Database
) -> None:
    changed = service.update(CLAIMS, {"nickname": "小明", "gender": 2})
    assert (changed.nickname, changed.gender) == ("小明", 2)
    assert changed.profile_state == "complete"
    stored = service.get(CLAIMS)
    assert msgspec.json.decode(msgspec.json.encode(stored), type=Profile) == changed
    with sqlite.read() as session:
        (event,) = session.query(UserEvent).all()
    assert event.type == "profile.updated"
    assert "小明" not in repr(event.data)


def test_a_reader_after_a_change_meets_it(
    service: ProfileService, cache: MemoryCache
) -> None:
    service.update(CLAIMS, {"city": "北京"})
    service.get(CLAIMS)
    service.update(CLAIMS, {"city": "上海"})
    assert "u_1" not in cache.values
    assert "上海".encode() in msgspec.json.encode(service.get(CLAIMS))


def test_a_change_survives_redis_being_away(
    service: ProfileService, cache: MemoryCache
) -> None:
    cache.away = True
    assert service.update(CLAIMS, {"city": "北京"}).city == "北京"
    assert "北京".encode() in msgspec.json.encode(service.get(CLAIMS))
