"""Queues, schedule and timeline on the internal listener."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from config.queues import EVENTS, Queue, reader_of
from config.schedule import SCHEDULE

if TYPE_CHECKING:
    from tests.unit.web.conftest import Admin
    from tests.unit.web.seams import House


def test_each_view_is_served(admin: Admin) -> None:
    no_more: dict[str, object] = {"items": [], "next_cursor": None, "has_more": False}
    queues = admin("GET", "/admin/v1/queues")[1]["data"]
    assert queues == {**no_more, "away": ["redis"]}
    assert admin("GET", "/admin/v1/schedule")[1]["data"] == no_more
    status, body = admin("GET", "/admin/v1/timeline/ob_1.2")
    assert status == 200
    assert body["data"]["entries"] == [
        {"at": 1, "kind": "task", "id": "ob_1", "what": "accepted", "detail": {}}
    ]


@pytest.mark.parametrize(
    ("path", "whole", "cursor"),
    [
        ("queues", 100, Queue.ORDERS.value),
        ("schedule", 100, SCHEDULE[0].name),
        ("timeline/ob_1.2", None, "12.3"),
    ],
)
def test_each_list_is_given_page_by_page(
    admin: Admin, house: House, path: str, whole: int | None, cursor: str
) -> None:
    for query in ("", "?limit=1", f"?limit=2&cursor={cursor}"):
        status, body = admin("GET", f"/admin/v1/{path}{query}")
        assert (status, body["data"]["has_more"]) == (200, False)
    assert house.pages == [(None, whole), (None, 1), (cursor, 2)]

    for query in ("limit=0", "limit=101", "cursor=", "cursor=nobody", "cursor=1.x"):
        assert admin("GET", f"/admin/v1/{path}?{query}")[0] == 400
    assert len(house.pages) == 3


def test_an_id_nobody_knows_is_404(admin: Admin) -> None:
    assert admin("GET", "/admin/v1/timeline/nobody")[0] == 404


def test_each_lane_has_a_reader() -> None:
    assert reader_of(EVENTS) == "relay"
    assert reader_of(Queue.BULK) == "bulk"
    assert reader_of(Queue.LOGINS) == "worker"
