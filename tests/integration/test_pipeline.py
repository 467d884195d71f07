"""Relay and worker as processes: killed, cut off, frozen, wiped; nothing is lost."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from config.clock import sleep
from tests.servers.house import House
from tests.servers.phone import Phone
from tests.servers.schema import rows

if TYPE_CHECKING:
    from tests.servers.stack import Stack

LOGINS = 60
WITHIN_S = 90


def sql(stack: Stack, query: str, **values: object) -> list[dict[str, Any]]:
    """Look into the stack's database."""
    return rows(stack.database_url, query, **values)


def login_count(stack: Stack, phone: Phone) -> int:
    """Return what SQL counts for the phone's user."""
    query = "SELECT login_count FROM users WHERE id = :id"
    return sum(row["login_count"] for row in sql(stack, query, id=phone.user_id))


def wait_counted(stack: Stack, phone: Phone, logins: int) -> None:
    """Wait until exactly ``logins`` are in SQL, and see that it stays so."""
    stack.wait(
        lambda: login_count(stack, phone) >= logins,
        within_s=WITHIN_S,
        what=f"{logins} logins of one user in SQL",
    )
    sleep(0.5)
    assert login_count(stack, phone) == logins
    query = "SELECT COUNT(*) AS n FROM login_events WHERE user_id = :id"
    assert sql(stack, query, id=phone.user_id) == [{"n": logins}]


def wait_finished(stack: Stack) -> None:
    """Wait until no accepted work is open."""
    query = "SELECT id FROM outbox WHERE state IN ('ready', 'sent')"
    stack.wait(lambda: not sql(stack, query), within_s=WITHIN_S, what="no open work")


def restart(stack: Stack, name: str) -> None:
    """Kill a process and everything it started, then start it again."""
    process = stack.running.pop(name)
    process.signal(signal.SIGKILL, group=True)
    process.kill()
    stack.start(name)


@pytest.fixture
def phone(pipeline: Stack) -> Phone:
    """Give a phone whose first login has gone all the way."""
    phone = Phone(pipeline)
    assert phone.login().status == 200
    wait_counted(pipeline, phone, 1)
    return phone


@pytest.mark.parametrize("name", ["worker", "relay"])
def test_a_process_killed_amid_the_work_loses_nothing(
    pipeline: Stack, phone: Phone, name: str
) -> None:
    for number in range(LOGINS):
        assert phone.login().status == 200
        if number == LOGINS // 2:
            restart(pipeline, name)

    wait_counted(pipeline, phone, LOGINS + 1)


def test_a_killed_worker_child_loses_nothing(pipeline: Stack, phone: Phone) -> None:
    main = pipeline.running["worker"].pid
    for number in range(LOGINS):
        assert phone.login().status == 200
        if number % 10 == 5:
            for child in House.children(main)[:1]:
                os.kill(child, signal.SIGKILL)

    wait_counted(pipeline, phone, LOGINS + 1)


def test_replies_cut_with_a_task_inside_lose_nothing(
    pipeline: Stack, phone: Phone
) -> None:
    assert pipeline.proxy is not None
    before = pipeline.proxy.done
    pipeline.proxy.cut_next(3)
    logins = 1
    while pipeline.proxy.done < before + 3 and logins < 400:
        assert phone.login().status == 200
        logins += 1
        sleep(0.05)

    # Redis had popped these tasks: Celery alone never sees them again.
    assert pipeline.proxy.done == before + 3
    wait_counted(pipeline, phone, logins)


def test_a_second_relay_doubles_nothing(pipeline: Stack, phone: Phone) -> None:
    rival = pipeline.run("rival", ["sh", "-c", pipeline.lines["relay"]])
    try:
        for _ in range(LOGINS):
            assert phone.login().status == 200
        for number in range(10):
            assert phone.rename(f"name {number}").status == 200
        wait_counted(pipeline, phone, LOGINS + 1)
        assert rival.alive
    finally:
        pipeline.stop("rival")

    query = "SELECT COUNT(*) AS n FROM user_events WHERE user_id = :id AND type = :type"
    told = sql(pipeline, query, id=phone.user_id, type="profile.updated")
    assert told == [{"n": 10}]


def test_a_profile_change_runs_through_the_outbox(
    pipeline: Stack, phone: Phone
) -> None:
    assert phone.rename("新名字").status == 200

    query = "SELECT name, state, attempts FROM outbox WHERE subject_id = :id"

    def done() -> bool:
        states = {r["name"]: r["state"] for r in sql(pipeline, query, id=phone.user_id)}
        return states.get("tasks.profile.warm_user_cache") == "done"

    pipeline.wait(done, within_s=WITHIN_S, what="the subscriber's task is done")
    assert phone.me().data["nickname"] == "新名字"
    found = {row["name"]: row for row in sql(pipeline, query, id=phone.user_id)}
    assert found["profile.updated"]["state"] == "done"
    assert found["tasks.profile.warm_user_cache"]["attempts"] == 1


def test_frozen_redis_stops_nothing_for_good(pipeline: Stack, phone: Phone) -> None:
    pipeline.redis.process.freeze()
    assert phone.rename("while frozen").status == 200
    assert phone.login().status == 200
    sleep(3)
    pipeline.redis.process.thaw()

    wait_counted(pipeline, phone, 2)
    open_work = "SELECT id FROM outbox WHERE state IN ('ready', 'sent')"
    pipeline.wait(
        lambda: sql(pipeline, open_work) == [],
        within_s=WITHIN_S,
        what="an empty outbox",
    )


def test_wiped_redis_loses_no_accepted_work_and_no_session(
    pipeline: Stack, phone: Phone
) -> None:
    for number in range(20):
        assert phone.rename(f"name {number}").status == 200
        if number == 10:
            pipeline.redis.flush()

    assert phone.me().data["nickname"] == "name 19"
    assert phone.refresh().status == 200
    open_work = "SELECT id FROM outbox WHERE state IN ('ready', 'sent')"
    pipeline.wait(
        lambda: sql(pipeline, open_work) == [],
        within_s=WITHIN_S,
        what="an empty outbox",
    )
    assert phone.login().status == 200
    wait_counted(pipeline, phone, 2)


def test_unknown_work_is_set_aside_with_its_cause(
    pipeline: Stack, phone: Phone
) -> None:
    engine = sa.create_engine(pipeline.database_url)
    text = (
        "INSERT INTO outbox (id, kind, name, subject_id, state, attempts, due_at, "
        "visible_at, created_at, updated_at) VALUES (:id, 'task', 'tasks.no.such', "
        "'u_1', 'ready', 0, 0, 0, 0, 0)"
    )
    with engine.begin() as link:
        link.execute(sa.text(text), {"id": "ob_unknown"})
    engine.dispose()

    query = "SELECT state, last_error FROM outbox WHERE id = 'ob_unknown'"
    pipeline.wait(
        lambda: sql(pipeline, query)[0]["state"] == "dead",
        within_s=WITHIN_S,
        what="dead",
    )
    assert "unknown" in sql(pipeline, query)[0]["last_error"]
