"""Accounts on the internal listener: who is meant, acts with and without a reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.unit.web.conftest import Admin, KeptLines
    from tests.unit.web.seams import House

USERS = "/admin/v1/users"
ACTS = ("ban", "unban", "logout")


def test_an_account_is_shown(admin: Admin) -> None:
    status, told = admin("GET", f"{USERS}/u_one")

    assert status == 200
    assert told["data"]["user"]["id"] == "u_one"
    assert told["data"]["standing"]["banned_at"] == 1000


@pytest.mark.parametrize("act", ACTS)
def test_an_act_takes_a_reason_or_none(admin: Admin, house: House, act: str) -> None:
    sent: list[dict[str, Any]] = [{"json": {"reason": "spam"}}, {"json": {}}, {}]
    for options in sent:
        status, told = admin("POST", f"{USERS}/u_one/{act}", **options)
        assert status == 200
        assert told["data"] == {
            "user_id": "u_one",
            "banned": act == "ban",
            "epoch": 1,
            "revoked": 2,
        }

    assert house.accounts.acts == [(act, "spam"), (act, ""), (act, "")]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"why": "x"}, "unknown_field"),
        ({"reason": None}, "validation_failed"),
        ({"reason": "x" * 65}, "validation_failed"),
    ],
)
def test_odd_bodies_are_refused(admin: Admin, body: Any, reason: str) -> None:
    status, told = admin("POST", f"{USERS}/u_one/ban", json=body)

    assert (status, told["reason"]) == (400, reason)


def test_a_name_is_neither_told_nor_logged(
    admin: Admin, house: House, log: KeptLines
) -> None:
    openid = "oABCD-secret-openid-of-one12"
    for method, path in (("GET", ""), *(("POST", f"/{act}") for act in ACTS)):
        status, told = admin(method, f"{USERS}/{openid}{path}")
        assert (status, told["reason"]) == (404, "not_found")
        assert openid not in repr(told)

    assert openid not in log.text()
    assert house.accounts.acts == []
