"""The outbox's routes: what they take, what they refuse, who may call them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from config.queues import LANES

if TYPE_CHECKING:
    from tests.unit.web.conftest import Admin
    from tests.unit.web.seams import House

OUTBOX = "/admin/v1/outbox"


def test_a_page_carries_items_and_the_next_cursor(admin: Admin, house: House) -> None:
    path = f"{OUTBOX}?state=dead&name=tasks.x.y&lane=sync&cursor=12.ob_2&limit=7"
    status, body = admin("GET", path)

    assert status == 200
    assert set(body["data"]) == {"items", "next_cursor", "has_more"}
    (item,) = body["data"]["items"]
    assert {"id", "kind", "name", "state", "attempts", "due_at", "last_error"} < set(
        item
    )
    assert "payload" not in item
    (query, cursor, limit) = house.outbox.asked[0]
    assert (query.state, query.name, query.lane) == ("dead", "tasks.x.y", "sync")  # type: ignore[attr-defined]
    assert (cursor, limit) == ("12.ob_2", 7)


@pytest.mark.parametrize(
    "query",
    ["state=lost", "limit=0", "limit=101", "limit=x", "cursor=x", "cursor=1.", "a=1"],
)
def test_a_bad_query_is_refused(admin: Admin, query: str) -> None:
    status, body = admin("GET", f"{OUTBOX}?{query}")

    assert (status, body["reason"]) in {
        (400, "validation_failed"),
        (400, "unknown_field"),
    }
    assert body["errors"][0]["field"] == query.partition("=")[0]


def test_a_mistyped_lane_is_named(admin: Admin, house: House) -> None:
    answers = [
        admin("GET", f"{OUTBOX}?lane=nope"),
        admin("POST", f"{OUTBOX}/replay", json={"lane": "nope"}),
        admin("POST", f"{OUTBOX}/discard", json={"lane": "syncs", "reason": "old"}),
    ]

    for status, body in answers:
        assert (status, body["reason"]) == (400, "validation_failed")
        assert body["errors"][0]["field"] == "lane"
    assert house.outbox.asked == []


@pytest.mark.parametrize("lane", LANES)
def test_each_lane_may_be_asked_for(admin: Admin, lane: str) -> None:
    assert admin("GET", f"{OUTBOX}?lane={lane}")[0] == 200


def test_one_row_is_replayed_and_discarded(admin: Admin, house: House) -> None:
    status, body = admin("POST", f"{OUTBOX}/ob_1/replay")
    assert (status, body["data"]["state"]) == (200, "ready")

    status, body = admin("POST", f"{OUTBOX}/ob_1/discard", json={"reason": "old"})
    assert (status, body["data"]["state"]) == (200, "discarded")
    nothing: dict[str, str] = {}
    for sent in (None, nothing):
        status, body = admin("POST", f"{OUTBOX}/ob_1/discard", json=sent)
        assert (status, body["data"]["state"]) == (200, "discarded")
    assert house.outbox.asked == [("old",), *[("discarded by an operator",)] * 2]


def test_an_unknown_row_is_404(admin: Admin) -> None:
    assert admin("POST", f"{OUTBOX}/ob_2/replay")[0] == 404
    assert admin("POST", f"{OUTBOX}/ob_2/discard", json={"reason": "x"})[0] == 404


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("ob_1/discard", {"why": "x"}),
        ("ob_1/discard", {"reason": " "}),
        ("replay", {"state": "ready"}),
        ("replay", {"per_second": 0}),
        ("replay", {"limit": 1001}),
        ("replay", {"who": "all"}),
        ("discard", {"reason": "x", "state": "done"}),
        ("discard", {}),
    ],
)
def test_a_bad_act_is_refused(admin: Admin, path: str, body: dict[str, object]) -> None:
    status, answer = admin("POST", f"{OUTBOX}/{path}", json=body)

    assert status == 400
    assert answer["errors"]


def test_many_are_chosen_by_a_filter(admin: Admin, house: House) -> None:
    wanted = {"lane": "sync", "last_error_contains": "WeChat", "created_before": 9}
    status, body = admin("POST", f"{OUTBOX}/replay", json={**wanted, "per_second": 2.5})

    assert status == 200
    assert body["data"] == {
        "replayed": 1,
        "remaining": 0,
        "last_due_at": 1000,
        "ids": ["ob_1"],
    }
    (query, limit, rate) = house.outbox.asked[0]
    assert query.last_error_contains == "WeChat"  # type: ignore[attr-defined]
    assert (limit, rate) == (100, 2.5)

    status, body = admin("POST", f"{OUTBOX}/discard", json={"reason": "x", **wanted})
    assert (status, body["data"]["discarded"]) == (200, 1)
