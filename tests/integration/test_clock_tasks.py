"""The clock's work from beat's question to the closed slot, and what each job does."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import update

from config.clock import DAY_MS, now_ms
from config.jwt_keys import KeyFiles
from config.metrics.accounts import JWT_KEY_FAULTS
from config.secrets import secrets_directory
from models import outbox, outbox_lease
from models.base import database_now
from models.errors import DatabaseUnavailable
from models.outbox import NewWork, Outbox
from models.paid_calls import PaidCall
from models.schedule import ScheduleSlot
from models.security_events import SecurityEvent, record_security_event
from tasks import retention
from tasks.app import configure, resources
from tasks.logins import enrich_logins
from tasks.maintenance import (
    refresh_access_tokens,
    rotate_jwt_key,
    sweep_journals,
)
from tasks.paid_calls import settle_paid_calls
from tasks.retention import PRUNE_ROWS, apply_retention
from tasks.schedule import take_due_slots
from tests.integration.journals import fetch, journal, look, make_login, outbox_row

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from config.settings import Settings
    from tasks.app import Resources

TASKS: dict[str, Any] = {
    "refresh_access_tokens": refresh_access_tokens,
    "rotate_jwt_key": rotate_jwt_key,
    "sweep_journals": sweep_journals,
    "settle_paid_calls": settle_paid_calls,
    "apply_retention": apply_retention,
}


@pytest.fixture
def house(workplace: Resources) -> Resources:
    """What tasks work with; its WeChat is at an address where nobody answers."""
    return workplace


def slot_of(house: Resources, job: str) -> dict[str, Any]:
    """Return the newest slot of a job."""
    query = "SELECT * FROM schedule_slots WHERE job = :job ORDER BY due DESC LIMIT 1"
    return look(house, query, job=job)[0]


def accept(house: Resources, job: str) -> str:
    """Take a slot that is due now and return the id of its work."""
    with house.database.unit_of_work() as uow:
        now = database_now(uow.session)
        task = f"{TASKS[job].__module__}.{job}"
        row_id = uow.enqueue(task, f"{job}@{now}")
        uow.session.add(
            ScheduleSlot(
                job=job, due=now, taken_at=now, state="taken", outbox_id=row_id
            )
        )
    return row_id


def run(house: Resources, job: str) -> str:
    """Run one slot of a job and return the outcome of its task."""
    return str(TASKS[job](accept(house, job)))


def test_a_question_becomes_work_and_the_work_closes_its_slot(house: Resources) -> None:
    # A job of each hour: its next slot does not begin meanwhile.
    assert take_due_slots("rotate_jwt_key") == "done"
    assert take_due_slots("rotate_jwt_key") == "nothing"
    slot = slot_of(house, "rotate_jwt_key")

    assert rotate_jwt_key(slot["outbox_id"]) == "done"

    closed = slot_of(house, "rotate_jwt_key")
    assert (closed["due"], closed["state"]) == (slot["due"], "done")
    assert closed["finished_at"] >= closed["taken_at"]
    assert outbox_row(house, slot["outbox_id"]).state == "done"
    assert rotate_jwt_key(slot["outbox_id"]) == "nothing"


def test_a_question_about_no_job_is_unknown(house: Resources) -> None:
    assert take_due_slots("drop_tables") == "unknown"
    assert look(house, "SELECT * FROM schedule_slots") == []


def test_work_whose_process_died_is_done_by_the_next(house: Resources) -> None:
    row_id = accept(house, "sweep_journals")
    with house.database.unit_of_work() as uow:
        # Begun by a process that is no more; its lease has run out.
        lease = outbox_lease.Lease(0, 3)
        assert isinstance(outbox_lease.begin(uow.session, row_id, lease), Outbox)

    assert sweep_journals(row_id) == "done"
    assert slot_of(house, "sweep_journals")["state"] == "done"


def test_a_wechat_that_is_away_stops_no_job(house: Resources) -> None:
    assert run(house, "refresh_access_tokens") == "done"


def age_key(house: Resources, days: float) -> Path:
    """Make the signing key as old as that and return its file."""
    path = secrets_directory(house.settings.var_dir) / "jwt_key"
    at = (now_ms() - days * DAY_MS) / 1000
    os.utime(path, (at, at))
    return path


def test_an_old_key_of_access_tokens_is_replaced_once(house: Resources) -> None:
    path = age_key(house, days=89)
    first = path.read_text()
    assert run(house, "rotate_jwt_key") == "done"
    assert path.read_text() == first

    age_key(house, days=91)
    # As if several houses over the same folder had each taken its slot.
    assert [run(house, "rotate_jwt_key") for _ in range(3)] == ["done"] * 3

    second = path.read_text()
    assert second != first
    retired = path.with_name("jwt_key_previous").read_text()
    assert retired.startswith(first.strip())


def test_a_key_given_by_environment_is_not_ours_to_rotate(
    house: Resources, settings: Settings
) -> None:
    path = age_key(house, days=400)
    before = path.read_text()
    configure(settings.model_copy(update={"jwt_files": KeyFiles()}))
    assert run(resources(), "rotate_jwt_key") == "done"
    assert path.read_text() == before


def test_a_key_that_cannot_be_rotated_is_counted(house: Resources) -> None:
    faults = JWT_KEY_FAULTS.labels("rotate")._value
    before = faults.get()
    age_key(house, days=91).unlink()

    assert run(house, "rotate_jwt_key") == "done"

    assert faults.get() == before + 1


def test_the_sweep_looks_at_both_journals(house: Resources) -> None:
    journal(house, make_login(house))
    fetch(house)

    assert run(house, "sweep_journals") == "done"
    assert house.stores.wait_for_work(0.2)


def test_reservations_of_dead_processes_become_unknown(house: Resources) -> None:
    with house.database.unit_of_work() as uow:
        now = database_now(uow.session)
        for name, age_ms in (("pc_old", 61_000), ("pc_young", 1_000)):
            call = PaidCall(id=name, app_id="wx1", user_id="u_1", kind="phone")
            call.state, call.flight, call.cost_fen = "reserved", name, 3
            call.at = now - age_ms
            uow.session.add(call)

    assert run(house, "settle_paid_calls") == "done"

    query = "SELECT id, state, flight FROM paid_calls ORDER BY id"
    assert [tuple(row.values()) for row in look(house, query)] == [
        ("pc_old", "unknown", None),
        ("pc_young", "reserved", "pc_young"),
    ]


def test_a_sweep_without_a_group_makes_it(house: Resources) -> None:
    assert run(house, "sweep_journals") == "done"
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

    assert run(house, "apply_retention") == "done"

    left = {row["id"] for row in look(house, "SELECT id FROM outbox WHERE name = 't'")}
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
    with house.database.unit_of_work() as work:
        for user_id in ("u_old", "u_new"):
            record_security_event(work.session, "logged_out", (user_id, "wx"))
        work.session.flush()
        work.session.execute(
            update(SecurityEvent).where(SecurityEvent.user_id == "u_old").values(at=old)
        )

    run(house, "apply_retention")

    kept = look(house, "SELECT user_id FROM security_events WHERE app_id = 'wx'")
    assert [row["user_id"] for row in kept] == ["u_new"]
    assert len(look(house, "SELECT id FROM login_events")) == 1
    assert len(look(house, "SELECT id FROM sessions")) == 1


def test_long_retention_goes_on_as_new_work_with_the_same_slot(
    house: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    with house.database.unit_of_work() as uow:
        for number in range(PRUNE_ROWS + 1):
            old = ScheduleSlot(job="old", due=number, taken_at=0, state="done")
            uow.session.add(old)
    first = accept(house, "apply_retention")
    monkeypatch.setattr(retention, "PART_MS", 0)
    assert apply_retention(first) == "done"
    slot = slot_of(house, "apply_retention")
    assert slot["state"] == "taken"
    assert slot["outbox_id"] != first
    assert outbox_row(house, slot["outbox_id"]).parent_id == first

    monkeypatch.undo()
    assert apply_retention(slot["outbox_id"]) == "done"

    assert slot_of(house, "apply_retention")["state"] == "done"
    assert look(house, "SELECT * FROM schedule_slots WHERE job = 'old'") == []


def test_without_the_database_nothing_runs(
    redis_url: str, make_settings: Callable[..., Settings]
) -> None:
    nowhere = "mysql+pymysql://k:k@127.0.0.1:1/k"
    configure(make_settings(DATABASE_URL=nowhere, REDIS_URL=redis_url))

    assert take_due_slots("sweep_journals") == "postponed"
    assert sweep_journals("ob_" + "0" * 26) == "postponed"
    with pytest.raises(DatabaseUnavailable):
        resources().database.ping()
    resources().close()
