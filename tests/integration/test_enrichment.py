"""Enrichment writes each login exactly once, whatever messages and entries arrive."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import msgspec
import pytest
import sqlalchemy as sa

from tasks.base import WorkDead
from tasks.logins import enrich_logins
from tests.integration.login_desk import Desk

if TYPE_CHECKING:
    from tasks.app import Resources


@pytest.fixture
def desk(workplace: Resources, database_url: str) -> Desk:
    return Desk(workplace, database_url)


def test_a_login_reaches_every_table_and_the_cache(desk: Desk) -> None:
    entry = desk.login("o1")

    assert enrich_logins(desk.batch()) == "done"

    (user,) = desk.sql("SELECT * FROM users")
    assert (user["id"], user["login_count"]) == (entry.user_id, 1)
    assert (user["last_login_at"], user["created_at"]) == (entry.at, entry.at)
    (event,) = desk.sql("SELECT * FROM login_events")
    assert (event["id"], event["session_id"]) == (entry.id, entry.session_id)
    (session,) = desk.sql("SELECT * FROM sessions")
    assert (session["id"], session["generation"]) == (entry.session_id, 1)
    (device,) = desk.sql("SELECT * FROM devices")
    assert (device["device_id"], device["platform"]) == ("phone-o1", "ios")
    assert len(desk.sql("SELECT * FROM identities")) == 1
    (told,) = desk.sql("SELECT * FROM user_events")
    assert (told["type"], told["seq"]) == ("login.enriched", 1)
    cached = desk.house.stores.users.load(entry.user_id, lambda: None)
    assert msgspec.json.decode(cached or b"{}")["login_count"] == 1
    assert desk.left() == 0


def test_openid_and_unionid_are_sealed_in_sql(desk: Desk) -> None:
    desk.login("o-very-secret-openid")
    enrich_logins(desk.batch())

    (row,) = desk.sql("SELECT * FROM identities")

    assert "o-very-secret-openid" not in repr(row)
    assert "union" not in {str(value) for value in row.values()}
    assert row["unionid_hash"]


def test_the_same_message_again_changes_nothing(desk: Desk) -> None:
    for number in range(10):
        desk.login(f"o{number % 3}")
    batch = desk.batch()

    outcomes = [enrich_logins(batch) for _ in range(4)]

    assert outcomes == ["done", "nothing", "nothing", "nothing"]
    assert sorted(desk.counts().values()) == [3, 3, 4]


def test_a_kill_between_commit_and_acknowledgement_costs_nothing(desk: Desk) -> None:
    entry = desk.login("o1")
    enrich_logins(desk.batch())

    # The entry as it would still lie there, delivered once more.
    desk.put(msgspec.json.encode(entry))
    assert enrich_logins(desk.batch()) == "done"

    assert desk.counts() == {entry.user_id: 1}
    assert len(desk.sql("SELECT * FROM login_events")) == 1
    assert len(desk.sql("SELECT * FROM user_events")) == 1


def test_two_tasks_on_one_batch_count_once(desk: Desk) -> None:
    for number in range(100):
        desk.login(f"o{number % 20}")
    batch = desk.batch()
    start = threading.Barrier(2)

    def run(_: int) -> str:
        start.wait()
        return str(enrich_logins(batch))

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(run, range(2)))
    enrich_logins(batch)

    assert "done" in outcomes
    assert sorted(desk.counts().values()) == [5] * 20
    assert len(desk.sql("SELECT id FROM login_events")) == 100
    assert desk.sql("SELECT id FROM outbox WHERE state = 'dead'") == []
    assert desk.left() == 0


def test_many_batches_with_the_same_users_at_once(desk: Desk) -> None:
    batches = []
    for _ in range(12):
        for number in range(10):
            desk.login(f"o{number}")
        batches.append(desk.batch())

    def until_done(batch: list[str]) -> None:
        for _ in range(20):
            if enrich_logins(batch) != "postponed":
                return

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(until_done, batches))

    assert sorted(desk.counts().values()) == [12] * 10
    seqs = desk.sql(
        "SELECT MAX(seq) AS top, COUNT(*) AS n FROM user_events GROUP BY user_id"
    )
    assert {(row["top"], row["n"]) for row in seqs} == {(12, 12)}
    assert desk.sql("SELECT id FROM outbox WHERE state = 'dead'") == []
    assert desk.left() == 0


@pytest.mark.parametrize(
    "poison",
    [
        b"not json at all",
        b"\xff\xfe",
        b"{}",
        b'{"id":"lg_1","kind":"dance"}',
        b"[" * 2000,
        msgspec.json.encode({"id": "x" * 500, "kind": "login", "user_id": "u_1"}),
    ],
    ids=["words", "bytes", "empty", "kind", "deep", "long"],
)
def test_poison_is_set_aside_and_the_good_go_on(desk: Desk, poison: bytes) -> None:
    good = [desk.login("o1"), desk.login("o2")]
    desk.put(poison)
    good.append(desk.login("o3"))

    assert enrich_logins(desk.batch()) == "done"

    assert set(desk.counts()) == {entry.user_id for entry in good}
    (dead,) = desk.sql("SELECT * FROM outbox WHERE state = 'dead'")
    assert dead["last_error"]
    assert poison.decode("latin-1")[:20] not in str(dead["payload"])
    assert desk.left() == 0


@pytest.mark.parametrize("field", ["user_id", "session_id", "app_id"])
def test_poison_that_only_the_database_sees_is_found_in_its_batch(
    desk: Desk, field: str
) -> None:
    good = [desk.login(f"o{number}") for number in range(7)]
    bad = desk.entry("o-bad", **{field: "漢" * 39 + "\x00"})
    desk.put(msgspec.json.encode(bad))
    enrich_logins(desk.batch())

    assert {entry.user_id for entry in good} <= set(desk.counts())
    assert desk.left() == 0


def test_poison_delivered_twice_is_kept_once(desk: Desk) -> None:
    desk.put(b"poison")
    batch = desk.batch()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(enrich_logins, [batch, batch]))
    enrich_logins(batch)

    assert len(desk.sql("SELECT id FROM outbox WHERE state = 'dead'")) == 1
    assert desk.left() == 0


def test_without_sql_nothing_is_acknowledged(desk: Desk) -> None:
    desk.login("o1")
    batch = desk.batch()
    with desk.house.database.engine.connect() as link:
        hide = "ALTER TABLE login_events RENAME TO hidden"
        link.execute(sa.text(hide))
        link.commit()

    try:
        outcome = str(enrich_logins(batch))
    except WorkDead:
        outcome = "dead"
    with desk.house.database.engine.connect() as link:
        link.execute(sa.text("ALTER TABLE hidden RENAME TO login_events"))
        link.commit()

    # A table that is missing is our fault, not the logins': none may be buried.
    assert outcome in {"postponed", "dead"}
    assert desk.left() == 1
    assert enrich_logins(batch) == "done"
    assert list(desk.counts().values()) == [1]


def test_a_login_whose_sealed_key_is_gone_still_counts(desk: Desk) -> None:
    entry = desk.login("o1")
    desk.house.stores.redis.execute(
        "DEL", desk.house.stores.keys.wechat_key(entry.user_id)
    )

    assert enrich_logins(desk.batch()) == "done"

    assert desk.counts() == {entry.user_id: 1}
    desk.login("o1")
    enrich_logins(desk.batch())
    assert len(desk.sql("SELECT * FROM identities")) == 1


def test_a_refresh_moves_the_session_and_is_no_login(desk: Desk) -> None:
    entry = desk.login("o1")
    enrich_logins(desk.batch())
    later = msgspec.structs.replace(
        entry, kind="refresh", generation=4, at=entry.at + 5
    )
    older = msgspec.structs.replace(
        entry, kind="refresh", generation=3, at=entry.at + 3
    )

    for change in (later, older):
        desk.put(msgspec.json.encode(change))
        enrich_logins(desk.batch())

    (session,) = desk.sql("SELECT * FROM sessions")
    assert (session["generation"], session["last_seen_at"]) == (4, entry.at + 5)
    assert desk.counts() == {entry.user_id: 1}


def test_times_never_go_back(desk: Desk) -> None:
    entry = desk.login("o1")
    desk.login("o1", at=entry.at - 100_000)
    enrich_logins(desk.batch())
    desk.login("o1", at=entry.at - 200_000)
    enrich_logins(desk.batch())

    (user,) = desk.sql("SELECT * FROM users")

    assert (user["login_count"], user["last_login_at"]) == (3, entry.at)
