"""Batches of logins on both databases: poison, rivals, replays, no Redis."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from models.base import new_id
from models.login_journal import (
    PURPOSE,
    JournaledLogin,
    WeChatNames,
    seal_login,
    unseal_bytes,
    unseal_login,
)
from models.outbox import Outbox
from models.sealing import IdentityHasher, Unsealable, sealer_for
from tasks.app import configure, resources
from tasks.base import WorkDead
from tasks.login_batch import REPLAY
from tasks.logins import enrich_journaled_login, enrich_logins, replay_login
from tests.integration.journals import (
    fetch,
    journal,
    look,
    make_login,
    openid,
    outbox_row,
    remember,
    secrets_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from config.settings import Settings
    from tasks.app import Resources
    from tests.servers.redis_server import RedisServer

TALLY = "SELECT COUNT(*) users, SUM(login_count) logins, SUM(event_seq) seq FROM users"
REFUSED = "203.0.113.9"


@pytest.fixture
def house(workplace: Resources) -> Resources:
    """What tasks work with, without any user."""
    return workplace


def tally(house: Resources) -> tuple[int, int, int]:
    """Return users, logins counted, and events numbered."""
    (row,) = look(house, TALLY)
    return int(row["users"]), int(row["logins"] or 0), int(row["seq"] or 0)


def dead_rows(house: Resources) -> list[str]:
    """Return the ids of dead outbox rows."""
    rows = look(house, "SELECT id FROM outbox WHERE state = 'dead'")
    return [str(row["id"]) for row in rows]


def test_identities_are_sealed_and_found_by_hash(house: Resources) -> None:
    login = make_login(house, 7, has_unionid=True)
    remember(house.stores, login, secrets_of(7, "uni-7"))
    journal(house, login)
    enrich_logins(fetch(house))

    (row,) = look(house, "SELECT * FROM identities")
    keys = house.settings.secrets
    assert row["openid_hash"] == IdentityHasher(keys.id_key).look_up(
        "openid", openid(7)
    )
    sealer = sealer_for(keys, "identity")
    assert sealer.unseal(row["openid_sealed"], login.user_id).decode() == openid(7)
    assert sealer.unseal(row["unionid_sealed"], login.user_id) == b"uni-7"


def test_entries_that_are_gone_are_skipped(house: Resources) -> None:
    journal(house, make_login(house))
    entry_ids = fetch(house)
    enrich_logins(entry_ids)

    assert enrich_logins([*entry_ids, "1-1"]) == "nothing"
    assert tally(house) == (1, 1, 1)


def test_entries_far_apart_are_all_loaded(house: Resources) -> None:
    journal(house, *[make_login(house, number) for number in range(50)])
    entry_ids = fetch(house)

    assert enrich_logins([entry_ids[-1], entry_ids[0], entry_ids[25]]) == "done"

    assert tally(house)[0] == 3
    assert house.stores.login_stream.backlog().length == 47


def test_rivals_with_the_same_logins_count_them_once(house: Resources) -> None:
    logins = [make_login(house, number % 4) for number in range(40)]
    for _ in range(3):
        journal(house, *logins)
    entry_ids = fetch(house, 200)
    batches = [entry_ids[:40], entry_ids[40:80], entry_ids[80:]]

    with ThreadPoolExecutor(3) as pool:
        outcomes = list(pool.map(enrich_logins, batches))
    for _ in range(3):
        # What a deadlock made a copy put off comes again, as the relay sends it.
        outcomes = [enrich_logins(batch) for batch in batches]

    assert set(outcomes) == {"nothing"}
    assert tally(house) == (4, 40, 40)
    numbers = look(house, "SELECT user_id, seq FROM user_events ORDER BY 1, 2")
    assert [row["seq"] for row in numbers[:10]] == list(range(1, 11))


@pytest.mark.parametrize(
    "changes",
    [
        {"user_id": "u_" + "x" * 39},
        {"app_id": "a" * 65},
        {"ip": "1" * 46},
        {"at": 2**63},
        {"generation": -1},
    ],
    ids=str,
)
def test_values_that_fit_no_column_are_poison(
    house: Resources, changes: dict[str, object]
) -> None:
    journal(house, make_login(house, 1), make_login(house, 2, **changes))

    enrich_logins(fetch(house))

    assert tally(house) == (1, 1, 1)
    assert len(dead_rows(house)) == 1


def test_poison_is_kept_sealed_and_whole(house: Resources) -> None:
    body = b'{"id": "\xff"}'
    journal(house, make_login(house), bodies=(body,))
    entry_ids = fetch(house)
    enrich_logins(entry_ids)

    (row_id,) = dead_rows(house)
    row = outbox_row(house, row_id)
    sealer = sealer_for(house.settings.secrets, PURPOSE)

    assert (row.name, row.subject_id) == (REPLAY, entry_ids[-1])
    assert unseal_bytes(sealer, row.payload or "", row.subject_id) == body


def test_poison_that_comes_again_is_set_aside_once(house: Resources) -> None:
    journal(house, bodies=(b"{",))
    entry_ids = fetch(house)
    enrich_logins(entry_ids)
    # The acknowledgement was lost: the entry is there again under its id.
    name = house.stores.keys.logins
    house.stores.redis.execute("XADD", name + "2", entry_ids[0], "e", b"{")
    house.stores.redis.execute("RENAME", name + "2", name)

    assert enrich_logins(entry_ids) == "done"

    assert len(dead_rows(house)) == 1


@pytest.fixture
def refusing(house: Resources) -> Iterator[Callable[[], None]]:
    """Make the database itself refuse one address; the answer takes the rule away."""
    check = f"CHECK (ip <> '{REFUSED}')"
    add = f"ALTER TABLE login_events ADD CONSTRAINT no_address {check}"
    drop = "ALTER TABLE login_events DROP CONSTRAINT IF EXISTS no_address"
    if house.database.engine.dialect.name == "sqlite":
        when = f"BEFORE INSERT ON login_events WHEN NEW.ip = '{REFUSED}'"
        abort = "BEGIN SELECT RAISE(ABORT, 'refused'); END"
        add = f"CREATE TRIGGER no_address {when} {abort}"
        drop = "DROP TRIGGER IF EXISTS no_address"

    def change(rule: str) -> None:
        with house.database.unit_of_work() as work:
            work.session.execute(sa.text(rule))

    change(add)
    yield lambda: change(drop)
    change(drop)


def test_what_the_database_refuses_is_found_by_halving_and_replayed(
    house: Resources, refusing: Callable[[], None]
) -> None:
    logins = [make_login(house, number) for number in range(9)]
    for number in (3, 7):
        logins[number] = make_login(house, number, ip=REFUSED)
    journal(house, *logins)

    assert enrich_logins(fetch(house)) == "done"
    assert tally(house) == (7, 7, 7)
    dead = dead_rows(house)
    assert len(dead) == 2

    refusing()
    with house.database.unit_of_work() as work:
        for row_id in dead:
            work.session.get_one(Outbox, row_id).state = "ready"
    outcomes = [replay_login(row_id) for row_id in dead * 2]

    assert outcomes == ["done", "done", "nothing", "nothing"]
    assert tally(house) == (9, 9, 9)


def sealed_login(house: Resources, number: int = 1) -> str:
    """Accept a login into the outbox, as a login without Redis does."""
    login = JournaledLogin(make_login(house, number), WeChatNames(openid(number)))
    payload = seal_login(sealer_for(house.settings.secrets, PURPOSE), login)
    with house.database.unit_of_work() as work:
        task = "tasks.logins.enrich_journaled_login"
        return work.enqueue(task, login.entry.id, payload=payload)


def test_a_login_taken_without_redis_becomes_the_same_rows(house: Resources) -> None:
    row_id = sealed_login(house)

    outcomes = [enrich_journaled_login(row_id) for _ in range(3)]

    assert outcomes == ["done", "nothing", "nothing"]
    assert tally(house) == (1, 1, 1)
    assert len(look(house, "SELECT * FROM identities")) == 1
    assert outbox_row(house, row_id).state == "done"


def test_a_payload_of_another_login_is_refused(house: Resources) -> None:
    row_id = sealed_login(house)
    with house.database.unit_of_work() as work:
        work.session.get_one(Outbox, row_id).subject_id = new_id("lg")

    with pytest.raises(WorkDead, match="Unsealable"):
        enrich_journaled_login(row_id)

    assert outbox_row(house, row_id).state == "dead"
    assert tally(house) == (0, 0, 0)


def test_the_codec_gives_back_what_it_sealed(house: Resources) -> None:
    sealer = sealer_for(house.settings.secrets, PURPOSE)
    login = JournaledLogin(make_login(house), WeChatNames(openid(1), "unionid-1"))
    payload = seal_login(sealer, login)

    assert unseal_login(sealer, payload, login.entry.id) == login
    assert openid(1) not in payload
    for wrong in (payload[:-4], "%%%", payload):
        with pytest.raises(Unsealable):
            unseal_login(sealer, wrong, "lg_2")


@pytest.fixture
def lonely(
    sqlite_url: str, private_redis: RedisServer, make_settings: Callable[..., Settings]
) -> Iterator[Resources]:
    """Resources whose Redis the test may take away."""
    url = private_redis.url
    configure(make_settings(DATABASE_URL=sqlite_url, REDIS_URL=url, BROKER_URL=url))
    opened = resources()
    yield opened
    opened.close()


def test_the_effect_is_kept_when_the_cache_is_away(
    lonely: Resources, private_redis: RedisServer
) -> None:
    row_id = sealed_login(lonely)
    private_redis.stop()

    assert enrich_journaled_login(row_id) == "done"
    assert tally(lonely) == (1, 1, 1)


def test_a_batch_without_redis_is_put_off(
    lonely: Resources, private_redis: RedisServer
) -> None:
    private_redis.stop()

    assert enrich_logins(["1-1"]) == "postponed"
