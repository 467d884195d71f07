"""Queues, schedule and timeline on the internal listener."""

from __future__ import annotations

from typing import TYPE_CHECKING

from config.queues import EVENTS, Queue, reader_of

if TYPE_CHECKING:
    from tests.unit.web.conftest import Admin


def test_each_view_is_served(admin: Admin) -> None:
    assert admin("GET", "/admin/v1/queues")[1]["data"] == {
        "items": [],
        "away": ["redis"],
    }
    assert admin("GET", "/admin/v1/schedule")[1]["data"] == {"items": []}
    status, body = admin("GET", "/admin/v1/timeline/ob_1.2")
    assert status == 200
    assert body["data"]["entries"] == [
        {"at": 1, "kind": "task", "id": "ob_1", "what": "accepted", "detail": {}}
    ]


def test_an_id_nobody_knows_is_404(admin: Admin) -> None:
    assert admin("GET", "/admin/v1/timeline/nobody")[0] == 404


def test_each_lane_has_a_reader() -> None:
    assert reader_of(EVENTS) == "relay"
    assert reader_of(Queue.BULK) == "bulk"
    assert reader_of(Queue.LOGINS) == "worker"
