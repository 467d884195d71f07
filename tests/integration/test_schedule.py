"""The clock's work: one run a slot whoever asks, and old rows go in their time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from models import outbox, outbox_lease
from models.base import database_now
from models.errors import DatabaseUnavailable
from models.outbox import NewWork, Outbox
from models.schedule import ScheduleSlot
from tasks.app import configure, resources
from tasks.logins import enrich_logins
from tasks.maintenance import (
    DAY_MS,
    apply_retention,
    refresh_access_tokens,
    sweep_journals,
)
from tests.integration.journals import fetch, journal, look, make_login

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from config.settings import Settings
    from tasks.app import Resources


@pytest.fixture
def house(database_url: str, redis_url: str, settings: Settings) -> Iterator[Resources]:
    """What tasks work with; its WeChat is at an address where nobody answers."""
    configure(settings)
    opened = resources()
    yield opened
    opened.close()


def test_three_beats_make_one_run(house: Resources) -> None:
    with ThreadPoolExecutor(3) as pool:
        outcomes = list(pool.map(apply_retention, ["apply_retention"] * 3))

    assert sorted(outcomes) == ["done", "taken", "taken"]
    (slot,) = look(house, "SELECT * FROM schedule_slots")
    assert slot["job"] == "apply_retention"
    assert slot["due"] % 3_600_000 == 0


def test_the_next_slot_is_another_run(house: Resources) -> None:
    apply_retention("apply_retention")
    with house.database.unit_of_work() as work:
        slot = work.session.query(ScheduleSlot).one()
        slot.due -= 3_600_000

    assert apply_retention("apply_retention") == "done"


def test_a_wechat_that_is_away_stops_no_job(house: Resources) -> None:
    assert refresh_access_tokens("refresh_access_tokens") == "done"


def test_the_sweep_looks_at_both_journals(house: Resources) -> None:
    journal(house, make_login(house))
    fetch(house)

    assert sweep_journals("sweep_journals") == "done"
    assert house.stores.wait_for_work(0.2)


def test_a_sweep_without_a_group_makes_it(house: Resources) -> None:
    assert sweep_journals("sweep_journals") == "done"
    assert house.stores.login_stream.backlog().pending == 0


def test_retention_takes_what_is_closed_and_old(house: Resources) -> None:
    kept_days = house.settings.journal.retention_days
    with house.database.unit_of_work() as work:
        now = database_now(work.session)
        ids = [outbox.add_work(work.session, NewWork("t", f"u_{n}")) for n in range(4)]
        for row_id in ids[:2]:
            outbox_lease.finish(work.session, row_id)
        outbox_lease.bury(work.session, ids[2], "a cause")
        old = now - (kept_days + 1) * DAY_MS
        for row_id in (ids[0], ids[2], ids[3]):
            work.session.get_one(Outbox, row_id).updated_at = old
        work.session.add(ScheduleSlot(job="old", due=old, taken_at=old, state="done"))

    assert apply_retention("apply_retention") == "done"

    left = {row["id"] for row in look(house, "SELECT id FROM outbox")}
    # Open and dead rows stay however old they are.
    assert left == set(ids[1:])
    assert look(house, "SELECT job FROM schedule_slots WHERE job = 'old'") == []


def test_retention_bounds_the_history(house: Resources) -> None:
    with house.database.read() as session:
        now = database_now(session)
    old = now - (house.settings.journal.login_history_days + 1) * DAY_MS
    journal(
        house,
        *[make_login(house, n, at=old, expires_at=old + 1) for n in range(3)],
        make_login(house, 9),
    )
    assert enrich_logins(fetch(house)) == "done"

    apply_retention("apply_retention")

    assert len(look(house, "SELECT id FROM login_events")) == 1
    assert len(look(house, "SELECT id FROM sessions")) == 1


def test_without_the_database_nothing_runs(
    redis_url: str, make_settings: Callable[..., Settings]
) -> None:
    nowhere = "mysql+pymysql://k:k@127.0.0.1:1/k"
    configure(make_settings(DATABASE_URL=nowhere, REDIS_URL=redis_url))

    assert sweep_journals("sweep_journals") == "postponed"
    with pytest.raises(DatabaseUnavailable):
        resources().database.ping()
    resources().close()
