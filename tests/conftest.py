"""What every tier shares: servers, settings for tests, opened stores.

Server programs start in `tests.servers.fixtures`; this file wires the project's own
factories to them, never a patched part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as run_settings

from config.settings import load_settings
from models.database import open_database
from models.stores.container import open_stores
from tests.servers.patience import PATIENT
from tests.still_clock import StillClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from config.settings import Settings
    from models.database import Database
    from models.stores.container import Stores

pytest_plugins = ["tests.servers.fixtures"]

# A busy machine is no fault of an example.
run_settings.register_profile(
    "kuaida", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
run_settings.load_profile("kuaida")

NOWHERE = "redis://127.0.0.1:1/0"
MakeSettings = "Callable[..., Settings]"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a process under test: nothing is reachable.

    The broker's address is one nobody answers at, so a test that publishes by
    mistake fails instead of finding somebody's Redis. Stores are waited for: a busy
    machine is no fault of a test.
    """
    return {
        **PATIENT,
        "KUAIDA_ENV": "test",
        "VAR_DIR": str(tmp_path / "var"),
        "DATABASE_URL": f"sqlite:///{tmp_path / 'unused.db'}",
        "REDIS_URL": NOWHERE,
        "BROKER_URL": NOWHERE,
        "LOG_FORMAT": "json",
    }


@pytest.fixture
def make_settings(environment: Mapping[str, str]) -> Callable[..., Settings]:
    """Return a maker of settings: keyword arguments are environment variables."""

    def make(**variables: str) -> Settings:
        return load_settings({**environment, **variables}, env_file=None)

    return make


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> StillClock:
    """Hold the time of this process; it passes as the test says."""
    held = StillClock()
    monkeypatch.setattr("config.clock.time", held)
    return held


@pytest.fixture
def settings(request: pytest.FixtureRequest, make_settings: Any) -> Settings:
    """Load settings; real servers are wired in where the test asks for them."""
    variables: dict[str, str] = {}
    if "redis_url" in request.fixturenames:
        url = request.getfixturevalue("redis_url")
        variables |= {"REDIS_URL": url, "BROKER_URL": url}
    if "database_url" in request.fixturenames:
        variables["DATABASE_URL"] = request.getfixturevalue("database_url")
    result: Settings = make_settings(**variables)
    return result


@pytest.fixture
def database(database_url: str, settings: Settings) -> Iterator[Database]:
    """Open the SQL database, on SQLite and MariaDB in turn."""
    assert settings.database.url.endswith(database_url.rsplit("/", 1)[-1])
    opened = open_database(settings)
    yield opened
    opened.dispose()


@pytest.fixture
def stores(redis_url: str, settings: Settings) -> Iterator[Stores]:
    """Open the Redis stores on an empty Redis."""
    assert settings.redis.url == redis_url
    opened = open_stores(settings)
    yield opened
    opened.close()
