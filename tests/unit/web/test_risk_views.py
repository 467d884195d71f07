"""Risk and limits on the internal listener: shapes, locks and what acts are handed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from web.services.risk import Choice

if TYPE_CHECKING:
    from tests.unit.web.conftest import Admin
    from tests.unit.web.seams import House

RISK = "/admin/v1/risk/u_one"


def test_a_decision_is_told_with_its_marks(admin: Admin) -> None:
    status, body = admin("GET", RISK)

    data = body["data"]
    assert (status, data["action"], data["why"]) == (200, "slow", ["fast scored 30"])
    assert data["marks"][0]["evidence"] == {"requests": 1000}
    assert data["buckets"][0] == {
        "rule": "read.user",
        "burst": 300,
        "refill_per_s": 50,
        "level": 12.5,
    }


def test_a_stranger_is_not_found(admin: Admin) -> None:
    assert admin("GET", "/admin/v1/risk/nobody")[0] == 404


def test_acts_carry_their_reason(admin: Admin, house: House) -> None:
    cleared = admin("POST", f"{RISK}/clear", json={"reason": "a partner"})
    told = {"action": "block", "reason": "a thief", "seconds": 3600}
    chosen = admin("POST", f"{RISK}/override", json=told)

    assert cleared[1]["data"]["cleared"] == 2
    assert chosen[1]["data"]["action"] == "block"
    assert house.risk.asked == [
        ("u_one", "a partner"),
        ("u_one", Choice("block", 3600, "a thief")),
    ]


@pytest.mark.parametrize(
    ("act", "body"),
    [
        ("clear", {}),
        ("clear", {"reason": " "}),
        ("override", {"action": "ban", "reason": "x"}),
        ("override", {"action": "slow", "reason": "x", "seconds": 59}),
        ("override", {"action": "slow"}),
    ],
)
def test_odd_acts_are_refused(
    admin: Admin, house: House, act: str, body: dict[str, object]
) -> None:
    assert admin("POST", f"{RISK}/{act}", json=body)[0] == 400
    assert house.risk.asked == []


def test_the_limits_are_told(admin: Admin, house: House) -> None:
    status, body = admin("GET", "/admin/v1/limits")

    assert (status, body["data"]["dry_run"]) == (200, False)
    assert body["data"]["refused"] == [
        {"rule": "read.ip", "subject": "10.0.0.1", "count": 3}
    ]

    assert admin("GET", "/admin/v1/limits?limit=1")[0] == 200
    assert admin("GET", "/admin/v1/limits?limit=101")[0] == 400
    assert house.risk.asked == [(100,), (1,)]
