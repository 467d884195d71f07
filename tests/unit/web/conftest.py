"""The public app over seams in memory, and a client that speaks to it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from config.clock import now_ms
from config.log_sink import LineSink
from config.logging import configure_logging
from tests.unit.web.seams import House, new_house
from web.app import create_app
from web.ops_app import create_ops_app

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask
    from flask.testing import FlaskClient

    from config.settings import Settings


Admin = Callable[..., Any]


class KeptLines(LineSink):
    """A sink that keeps its lines for the test to read."""

    def __init__(self) -> None:
        super().__init__(os.dup(1))
        self.lines: list[bytes] = []

    def write(self, line: bytes) -> None:
        self.lines.append(line)

    def text(self) -> str:
        return b"".join(self.lines).decode()


@pytest.fixture
def log(settings: Settings) -> KeptLines:
    sink = KeptLines()
    configure_logging(settings, "web", sink=sink)
    return sink


@pytest.fixture
def house(settings: Settings) -> House:
    return new_house(settings, now_ms())


@pytest.fixture
def app(settings: Settings, house: House, log: KeptLines) -> Flask:
    return create_app(settings, services=house.services)


@pytest.fixture
def client(app: Flask) -> Iterator[FlaskClient]:
    with app.test_client() as opened:
        yield opened


@pytest.fixture
def signed_in(house: House) -> dict[str, str]:
    return {"Authorization": f"Bearer {house.sessions.tokens().access_token}"}


@pytest.fixture
def admin(settings: Settings, house: House, log: KeptLines) -> Admin:
    """Call an admin route with the token; returns status and body."""
    client = create_ops_app(settings, services=house.services).test_client()
    token = settings.secrets.admin_token.get_secret_value()

    def call(method: str, path: str, **options: Any) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}"}
        answer = client.open(path, method=method, headers=headers, **options)
        return answer.status_code, answer.get_json()

    return call
