"""Tests of the drills: with one guard taken away each of these must turn red."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from config.clock import monotonic, sleep
from tests.faults.checker import check
from tests.faults.drill import HASTE, Drill
from tests.faults.loads.floods import flood
from tests.faults.loads.patches import logged_in
from tests.faults.sabotage import VARIABLE
from tests.faults.task_names import COUNT, RACE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.faults.ground import Ground
    from tests.faults.site import Site
    from tests.servers.http import Answer
    from tests.servers.phone import Phone

AT_ONCE = 12
SHORT = {"TASK_LEASE_S": "3", "NOTIFICATION_CALL_S": "1.5", "RESEND_AFTER_S": "1"}
# Seconds on a quiet machine; a busy one must not turn a test red.
PATIENCE_S = 60


def without(ground: Ground, guards: str, process: str) -> None:
    """Start a process anew with one guard taken away, or several."""
    ground.stack.variables[VARIABLE] = guards
    ground.restart(process)


@pytest.fixture
def open_ground(site: Site) -> Iterator[Callable[..., Ground]]:
    """Open grounds for this test and end them with it."""
    opened = []

    def make(*processes: str, links: tuple[str, ...] = (), **settings: str) -> Ground:
        drill = Drill(
            name="sabotage",
            promise="",
            does="",
            rule="",
            run=lambda *_: None,
            full={},
            processes=processes,
            settings={**HASTE, "RELAY_POLL_S": "0.2", **settings},
            links=links,
        )
        context = site.ground(drill)
        opened.append(context)
        return context.__enter__()

    yield make
    for context in opened:
        context.__exit__(None, None, None)


def run_again(ground: Ground) -> list[str]:
    """Do work, put its row back as a restored table would, and do it again."""
    (row_id,) = flood(ground, COUNT, 1)
    assert ground.wait_finished(PATIENCE_S) is not None
    again = "UPDATE outbox SET state = 'ready', visible_at = 0 WHERE id = :id"
    ground.execute(again, [{"id": row_id}])
    assert ground.wait_finished(PATIENCE_S) is not None
    return check(ground).doubled


def test_the_inbox_mark_is_what_keeps_an_effect_single(
    open_ground: Callable[..., Ground],
) -> None:
    ground = open_ground("relay", "worker")

    assert run_again(ground) == []
    without(ground, "inbox", "worker")
    # On a busy machine the old worker may have had the first one in hand.
    assert any(run_again(ground) for _ in range(3))


def late_steps(ground: Ground) -> int:
    """Let two attempts of one row overlap; count what the overtaken one wrote."""
    flood(ground, RACE, 1, payload="20")
    assert ground.wait_finished(PATIENCE_S) is not None
    return ground.number(
        "SELECT COUNT(*) FROM drill_effects WHERE what = 'step' AND attempt = 1"
    )


def test_the_fence_is_what_stops_an_overtaken_attempt(
    open_ground: Callable[..., Ground],
) -> None:
    ground = open_ground("relay", "worker", **SHORT)

    # A living attempt is overtaken only where nobody renews its lease.
    without(ground, "renewal", "worker")
    assert late_steps(ground) == 0
    without(ground, "renewal fencing", "worker")
    assert late_steps(ground) == 1


def attempts_of_silence(ground: Ground) -> int:
    """Let work say nothing for some leases; return how often it was begun."""
    (row_id,) = flood(ground, COUNT, 1, payload="20000")
    assert ground.wait_finished(PATIENCE_S) is not None
    return ground.number("SELECT attempts FROM outbox WHERE id = :id", id=row_id)


def test_the_renewal_is_what_keeps_silent_work_from_being_begun_again(
    open_ground: Callable[..., Ground],
) -> None:
    # Room for a machine that stalls: six seconds pass before it is taken for dead.
    ground = open_ground("relay", "worker", TASK_LEASE_S="8", RESEND_AFTER_S="1")

    assert attempts_of_silence(ground) == 1
    without(ground, "renewal", "worker")
    assert attempts_of_silence(ground) > 1


def lost_to_a_cut(ground: Ground, within_s: float) -> list[str]:
    """Cut the reply that carries a task, wait, and ask the checker."""
    link = ground.links["broker"]
    before = link.done
    link.cut_next(1)
    flood(ground, COUNT, 1)
    ground.stack.wait(lambda: link.done > before, within_s=PATIENCE_S, what="a cut")
    ground.wait_finished(within_s)
    return check(ground).lost


def test_the_sweeper_is_what_brings_a_lost_message_back(
    open_ground: Callable[..., Ground],
) -> None:
    ground = open_ground("relay", "worker", links=("broker",), WORKER_CONCURRENCY="1")

    assert lost_to_a_cut(ground, within_s=PATIENCE_S) == []
    without(ground, "sweeper", "relay")
    assert len(lost_to_a_cut(ground, within_s=8)) == 1


def doubled_keys(ground: Ground, phone: Phone, rounds: int) -> int:
    """Send equal writes at the same moment until a round has more than one effect."""
    count = "SELECT COUNT(*) FROM user_events WHERE type = 'profile.updated'"
    doubled = 0

    def write(key: str) -> Answer:
        return phone.api(
            "PATCH",
            "/me",
            token=phone.data["access_token"],
            body={"nickname": key},
            headers={"Idempotency-Key": key},
        )

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in range(rounds):
            before, key = ground.number(count), f"key-{monotonic()}"
            answers = list(pool.map(write, [key] * AT_ONCE))
            assert 200 in {answer.status for answer in answers}
            doubled += ground.number(count) - before > 1
            if doubled:
                break
    return doubled


def test_the_unique_key_is_what_makes_equal_writes_one(
    open_ground: Callable[..., Ground],
) -> None:
    ground = open_ground("wechat", "web", WEB_PROCESSES="4")
    phone = logged_in(ground)
    sleep(0.5)

    assert doubled_keys(ground, phone, rounds=5) == 0
    # The one index that two processes meet at; the code in front of it stays.
    ground.execute("ALTER TABLE idempotency_keys DROP PRIMARY KEY")
    assert doubled_keys(ground, phone, rounds=60) > 0
