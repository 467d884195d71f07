"""What enrichment finds out about accounts: new devices, twins, aliases half made."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from models.device_info import DeviceInfo
from tasks.logins import enrich_logins
from tests.integration.login_desk import Desk

if TYPE_CHECKING:
    from tasks.app import Resources

PHONE, PAD, NEW = (DeviceInfo(id=name, model=name.upper()) for name in "abc")


@pytest.fixture
def desk(workplace: Resources, database_url: str) -> Desk:
    return Desk(workplace, database_url)


def enriched(desk: Desk) -> None:
    assert enrich_logins(desk.batch()) == "done"


def told(desk: Desk, kind: str) -> list[tuple[str, str | None]]:
    """Return user and device of the security events of a kind."""
    found = desk.sql(
        "SELECT user_id, device_id FROM security_events WHERE kind = :kind ORDER BY id",
        kind=kind,
    )
    return [(row["user_id"], row["device_id"]) for row in found]


def device_events(desk: Desk) -> list[dict[str, Any]]:
    found = desk.sql("SELECT data FROM user_events WHERE type = 'device.added'")
    return [json.loads(row["data"]) for row in found]


# Devices


@pytest.mark.parametrize("apart", [True, False], ids=["one by one", "in one batch"])
def test_a_further_device_is_told_once_and_the_first_one_never(
    desk: Desk, *, apart: bool
) -> None:
    for device in (PHONE, PHONE, PAD, PHONE, PAD, None):
        entry = desk.login("o1", device=device)
        if apart:
            enriched(desk)
    if not apart:
        enriched(desk)

    assert told(desk, "new_device") == [(entry.user_id, "b")]
    assert device_events(desk) == [{"device_id": "b", "model": "B"}]
    numbers = desk.sql("SELECT seq FROM user_events ORDER BY seq")
    assert [row["seq"] for row in numbers] == list(range(1, 8))
    (user,) = desk.sql("SELECT event_seq FROM users")
    assert user["event_seq"] == 7


def test_a_device_is_new_to_each_user_by_itself(desk: Desk) -> None:
    first = desk.login("o1", device=PHONE)
    second = desk.login("o2", device=PHONE)
    enriched(desk)
    desk.login("o1", device=PAD)
    desk.login("o2", device=PAD)
    enriched(desk)

    assert sorted(told(desk, "new_device")) == sorted(
        [(first.user_id, "b"), (second.user_id, "b")]
    )


def test_a_new_device_in_two_batches_at_once_is_told_once(desk: Desk) -> None:
    entry = desk.login("o1", device=PHONE)
    enriched(desk)
    batches = []
    for _ in range(4):
        desk.login("o1", device=NEW)
        batches.append(desk.batch())

    def until_done(batch: list[str]) -> None:
        for _ in range(20):
            if enrich_logins(batch) != "postponed":
                return

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(until_done, batches))

    assert told(desk, "new_device") == [(entry.user_id, "c")]
    assert desk.counts() == {entry.user_id: 5}


def test_the_history_names_the_login_that_it_goes_back_to(desk: Desk) -> None:
    desk.login("o1", device=PHONE, request_id="rq_1")
    desk.login("o1", device=PAD, request_id="rq_2")
    desk.login("o2", request_id="rq_3")
    enriched(desk)

    found = desk.sql("SELECT kind, request_id FROM security_events ORDER BY kind")

    kinds = [row["kind"] for row in found]
    assert kinds == ["new_device", "unionid_linked", "unionid_linked"]
    device, one, other = (row["request_id"] for row in found)
    assert device == "rq_2"
    # Both accounts are told the same one of the two logins that it took.
    assert one == other
    assert one in {"rq_1", "rq_3"}


# Unionids


def links(desk: Desk) -> list[tuple[str, str, str, str]]:
    found = desk.sql("SELECT * FROM account_links ORDER BY user_id, other_user_id")
    names = ("user_id", "other_user_id", "reason", "state")
    return [tuple(row[name] for name in names) for row in found]


@pytest.mark.parametrize("apart", [True, False], ids=["one by one", "in one batch"])
def test_users_of_one_unionid_are_linked_once(desk: Desk, *, apart: bool) -> None:
    one = desk.login("o1")
    if apart:
        enriched(desk)
    two = desk.login("o2")
    desk.unionid = "another"
    desk.login("o3")
    enriched(desk)
    desk.unionid = "union"
    desk.login("o1")
    desk.login("o2")
    enriched(desk)

    first, second = sorted((one.user_id, two.user_id))
    assert links(desk) == [(first, second, "unionid", "found")]
    assert sorted(told(desk, "unionid_linked")) == [(first, None), (second, None)]


def test_a_unionid_that_comes_late_links_then(desk: Desk) -> None:
    desk.login("o1")
    desk.unionid = None
    late = desk.login("o2")
    enriched(desk)
    assert links(desk) == []

    desk.unionid = "union"
    desk.login("o2", has_unionid=True)
    enriched(desk)

    (link,) = links(desk)
    assert late.user_id in link


def test_twins_enriched_at_once_are_linked(desk: Desk) -> None:
    batches = []
    for number in range(6):
        desk.login(f"o{number}")
        batches.append(desk.batch())

    def until_done(batch: list[str]) -> None:
        for _ in range(30):
            if enrich_logins(batch) != "postponed":
                return

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(until_done, batches))

    assert len(links(desk)) == 15
    assert len(told(desk, "unionid_linked")) == 30
    assert desk.left() == 0


# Aliases


def test_an_alias_only_redis_knew_is_kept(desk: Desk) -> None:
    derived = desk.entry("o1").user_id
    desk.login("o1", user_id="g_" + "1" * 26)

    enriched(desk)

    (alias,) = desk.sql("SELECT alias_id, user_id FROM user_aliases")
    assert alias == {"alias_id": derived, "user_id": "g_" + "1" * 26}
    (user,) = desk.sql("SELECT id, is_guest FROM users")
    assert (user["id"], user["is_guest"]) == ("g_" + "1" * 26, 0)
