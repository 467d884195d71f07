"""The internal listener: readiness, metrics, docs page, admin lock."""

from __future__ import annotations

import os
import re
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from config.clock import now_ms
from config.patience import bound_deadline
from models.errors import Unavailable
from tests.servers.process import wait_until
from web.bounded_read import BoundedReads, NoAnswer
from web.ops_app import RELAY_HEARTBEAT, create_ops_app
from web.readiness import Readiness

if TYPE_CHECKING:
    from pathlib import Path

    from flask.testing import FlaskClient

    from config.settings import Settings
    from models.stores.container import Stores
    from tests.unit.web.conftest import KeptLines


@pytest.fixture
def ops(settings: Settings, log: KeptLines) -> FlaskClient:
    return create_ops_app(settings).test_client()


def test_ready_says_which_part_is_away(ops: FlaskClient, settings: Settings) -> None:
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    (settings.run_dir / RELAY_HEARTBEAT).touch()

    def answers() -> bool:
        # Until each look is back in time: a machine may be busy right after a start.
        return "no answer" not in ops.get("/readyz").text

    wait_until(answers, within_s=60, what="every part answers")
    answer = ops.get("/readyz")
    parts = answer.get_json()["data"]["parts"]
    assert answer.status_code == 200
    assert {name: part["ok"] for name, part in parts.items()} == {
        "redis": False,
        "database": True,
        "migrations": False,
        "relay": True,
        "wechat": True,
    }


def test_a_silent_relay_is_told(ops: FlaskClient, settings: Settings) -> None:
    assert ops.get("/readyz").get_json()["data"]["parts"]["relay"]["ok"] is False
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    file = settings.run_dir / RELAY_HEARTBEAT
    file.touch()
    old = now_ms() / 1000 - 60
    os.utime(file, (old, old))
    assert ops.get("/readyz").get_json()["data"]["parts"]["relay"]["ok"] is False


def test_not_ready_without_any_store(make_settings: object, tmp_path: Path) -> None:
    settings = make_settings(DATABASE_URL=f"sqlite:///{tmp_path}/no/such/folder/x.db")  # type: ignore[operator]
    answer = create_ops_app(settings).test_client().get("/readyz")
    assert answer.status_code == 503
    body = answer.get_json()
    assert body["reason"] == "unavailable"
    assert body["data"]["ready"] is False


def test_metrics_show_the_parts_and_the_requests(
    ops: FlaskClient, settings: Settings
) -> None:
    ops.get("/healthz")
    answer = ops.get("/metrics")
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain")
    assert 'kuaida_up{part="redis"} 0.0' in answer.text
    assert 'kuaida_up{part="database"} 0.0' in answer.text  # no tables yet
    assert 'route="/healthz"' in answer.text
    lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
    assert all(re.match(r"[a-z_]+(\{.*\})? \S+$", line) for line in lines)


def test_admin_paths_need_the_token(ops: FlaskClient, settings: Settings) -> None:
    token = settings.secrets.admin_token.get_secret_value()
    found = {
        header: ops.get("/admin/v1/nothing", headers=[("Authorization", header)])
        for header in (
            f"Bearer {token}",
            f"Bearer {token}x",
            "Bearer",
            f"Basic {token}",
        )
    }
    assert [answer.status_code for answer in found.values()] == [404, 401, 401, 401]
    assert ops.get("/admin/v1").status_code == 401


@pytest.mark.parametrize("path", ["/metrics", "/readyz", "/docs/", "/openapi.json"])
def test_nothing_internal_is_on_the_public_listener(
    client: FlaskClient, path: str
) -> None:
    assert client.get(path).status_code == 404


def test_nothing_public_but_health_is_internal(ops: FlaskClient) -> None:
    assert ops.get("/healthz").status_code == 200
    assert ops.get("/api/v1/me").status_code == 404


def test_the_page_is_served_from_here(ops: FlaskClient) -> None:
    assert ops.get("/docs").status_code == 308
    page = ops.get("/docs/")
    assert page.status_code == 200
    assert "'self'" in page.headers["Content-Security-Policy"]
    assert "/openapi.json" in page.text
    sources = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert sources
    for source in sources:
        assert source.startswith("/docs/")
        with ops.get(source) as asset:
            assert asset.status_code == 200
    assert ops.get("/docs/../../etc/passwd").status_code == 404
    assert ops.get("/docs/none.js").get_json()["reason"] == "not_found"


def test_the_document_is_served(ops: FlaskClient) -> None:
    assert ops.get("/openapi.json").get_json()["openapi"] == "3.1.0"


def test_a_look_that_hangs_is_given_up() -> None:
    reads, go_on = BoundedReads(seconds=0.05), threading.Event()
    with pytest.raises(NoAnswer, match="in time"):
        reads.look("slow", go_on.wait)
    with pytest.raises(NoAnswer, match="not answered yet"):
        reads.look("slow", lambda: 1)

    def answers(part: str) -> bool:
        # A busy machine may be late by itself.
        with suppress(NoAnswer):
            return reads.look(part, lambda: True)
        return False

    wait_until(lambda: answers("other"), within_s=60, what="another part answers")
    go_on.set()
    wait_until(lambda: answers("slow"), within_s=60, what="the part answers again")


def test_what_a_look_asks_ends_with_it() -> None:
    deadline = BoundedReads(seconds=5).look("part", bound_deadline)
    assert deadline is not None
    assert deadline.remaining_s() <= 5


def test_a_slow_part_is_not_said_to_be_away(tmp_path: Path) -> None:
    def hang() -> Stores:
        raise NoAnswer

    parts = Readiness(hang, hang, tmp_path / "none").parts()  # type: ignore[arg-type]
    assert parts["redis"].detail.startswith("no answer within")
    assert not parts["redis"].ok
    assert parts["migrations"].detail == "not known without the database"


def test_a_look_tells_unexpected_errors_as_away() -> None:
    with pytest.raises(Unavailable, match="ZeroDivisionError"):
        BoundedReads().look("part", lambda: 1 // 0)
