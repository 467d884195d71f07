"""Idempotent writes over real databases: one effect, one answer, whoever dies when.

Two books over two engines stand for two web processes: they share nothing but SQL.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from config.clock import Deadline
from config.metrics.requests import IDEMPOTENT
from config.patience import under
from models import idempotency
from models.base import database_now
from models.errors import (
    Conflict,
    DatabaseUnavailable,
    KeyReused,
    KuaidaError,
    NotFound,
    OpenDataRefused,
    Unavailable,
)
from models.idempotency import IdempotencyKey, KeptAnswer, Once
from models.users import User, ensure_user
from tests.integration.idempotent_house import (
    DYING,
    ONCE,
    SUBJECT,
    Process,
    open_process,
)
from web.services.idempotency import Told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from config.settings import Settings
    from models.database import UnitOfWork


@pytest.fixture
def here(
    database_url: str, make_settings: Callable[..., Settings]
) -> Iterator[Process]:
    # Fifty callers who join must do with few connections.
    small = {"DATABASE_POOL_SIZE": "2", "DATABASE_POOL_WAIT_S": "20"}
    made = open_process(make_settings(DATABASE_URL=database_url, **small))
    made.database.transact(lambda work: ensure_user(work.session, "u_1", "wx1", 0))
    yield made
    made.database.dispose()


@pytest.fixture
def there(here: Process, settings: Settings) -> Iterator[Process]:
    assert here.runs == 0
    made = open_process(settings)
    yield made
    made.database.dispose()


def effects(process: Process) -> int:
    with process.database.read() as session:
        return session.get_one(User, "u_1").login_count


def rows(process: Process) -> int:
    with process.database.read() as session:
        found = session.scalar(sa.select(sa.func.count()).select_from(IdempotencyKey))
        return found or 0


def counted(outcome: str) -> float:
    return float(IDEMPOTENT.labels(outcome)._value.get())


def test_fifty_at_once_in_two_processes_are_one_effect(
    here: Process, there: Process
) -> None:
    start = threading.Barrier(50)

    def ask(process: Process) -> Told:
        start.wait(100)
        return process.count(ONCE)

    with ThreadPoolExecutor(50) as pool:
        told = list(pool.map(ask, [here, there] * 25))

    assert {answer.kept.data for answer in told} == {b'["u_1",1]'}
    assert sum(not answer.replayed for answer in told) == 1
    assert effects(here) == rows(here) == 1


def test_callers_who_join_wait_without_a_connection(here: Process) -> None:
    running, go = threading.Event(), threading.Event()

    def join(_: int) -> Told:
        def slow() -> object:
            running.set()
            go.wait(100)
            return here.database.transact(lambda _: 7, mine)

        mine = replace(ONCE)
        return here.book.answer(mine, slow)

    with ThreadPoolExecutor(50) as pool:
        asked = [pool.submit(join, n) for n in range(50)]
        assert running.wait(100)
        # All of them stand at the flight, and the pool of two is free.
        here.database.ping()
        go.set()
        told = [future.result(100) for future in asked]

    assert {answer.kept.data for answer in told} == {b"7"}
    assert sum(not answer.replayed for answer in told) == 1


def test_a_repetition_is_told_the_stored_bytes(here: Process, there: Process) -> None:
    before = counted("first"), counted("replayed")
    first = here.count(ONCE)

    again = there.count(ONCE)

    assert (first.replayed, again.replayed) == (False, True)
    assert again.kept == first.kept
    assert effects(here) == 1
    assert (counted("first"), counted("replayed")) == (before[0] + 1, before[1] + 1)


def test_another_body_is_refused_and_changes_nothing(
    here: Process, there: Process
) -> None:
    first = here.count(ONCE)
    before = counted("refused")

    with pytest.raises(KeyReused):
        there.count(replace(ONCE, body_hash="other"))

    assert counted("refused") == before + 1
    assert effects(here) == 1
    assert here.count(ONCE).kept == first.kept


def test_another_body_is_refused_while_the_first_one_runs(
    here: Process, there: Process
) -> None:
    inside, go = threading.Event(), threading.Event()

    def slow(work: UnitOfWork) -> str:
        inside.set()
        go.wait(100)
        return work.session.get_one(User, "u_1").id

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(here.database.transact, slow, replace(ONCE))
        assert inside.wait(100)
        other = pool.submit(there.count, replace(ONCE, body_hash="other"))
        go.set()

        assert first.result(100) == "u_1"
        assert isinstance(other.exception(9), KeyReused)


@pytest.mark.parametrize(
    "other",
    [
        replace(ONCE, user_id="u_2"),
        replace(ONCE, route="PATCH /x"),
        replace(ONCE, key_hash="another"),
    ],
    ids=["user", "route", "key"],
)
def test_a_key_counts_for_one_user_and_one_route(here: Process, other: Once) -> None:
    here.count(ONCE)

    assert not here.count(other).replayed

    assert effects(here) == 2


@pytest.mark.parametrize(
    "error", [NotFound(), Conflict(), Conflict(reason="out_of_stock")], ids=repr
)
def test_a_final_refusal_is_repeated(
    here: Process, there: Process, error: KuaidaError
) -> None:
    first, again = here.refuse(ONCE, error), there.count(ONCE)

    assert first == Told(KeptAnswer(reason=error.reason), replayed=False)
    assert again == Told(first.kept, replayed=True)
    # Nobody ran for the repetition that would have worked by now.
    assert effects(here) == 0


@pytest.mark.parametrize(
    "error",
    [
        Conflict(reason="session_key_stale"),
        OpenDataRefused(),
        KuaidaError(reason="rate_limited"),
        Unavailable(),
        DatabaseUnavailable(),
        ValueError(),
    ],
    ids=repr,
)
def test_a_passing_refusal_leaves_the_key_free(here: Process, error: Exception) -> None:
    with pytest.raises(type(error)):
        here.refuse(ONCE, error)

    assert rows(here) == 0
    assert not here.count(ONCE).replayed
    assert effects(here) == 1


@pytest.mark.parametrize(
    "error", [Conflict(reason="session_key_stale"), OpenDataRefused()], ids=repr
)
def test_a_refusal_of_today_does_not_displace_the_answer(
    here: Process, there: Process, error: KuaidaError
) -> None:
    first = here.count(ONCE)

    assert there.refuse(ONCE, error) == Told(first.kept, replayed=True)
    with pytest.raises(KeyReused):
        there.refuse(replace(ONCE, body_hash="other"), error)


def test_an_effect_that_rolls_back_takes_its_key_along(here: Process) -> None:
    def act(work: UnitOfWork) -> str:
        work.session.get_one(User, "u_1").login_count += 1
        work.session.flush()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        here.database.transact(act, replace(ONCE))

    assert (effects(here), rows(here)) == (0, 0)


@pytest.mark.parametrize("later", ["", "1"], ids=["in the commit", "after it"])
def test_a_process_killed_between_commit_and_answer(
    here: Process, settings: Settings, environment: dict[str, str], later: str
) -> None:
    variables = {
        **environment,
        "DATABASE_URL": settings.database.url,
        "PYTHONPATH": ".",
        "LATER": later,
    }
    dead = subprocess.run([sys.executable, "-c", DYING], env=variables, check=False)
    assert dead.returncode == -9
    assert effects(here) == 1

    told = [here.count(ONCE, SUBJECT if later else None) for _ in range(2)]

    assert {answer.kept.data for answer in told} == {b'["u_1",1]'}
    # The answer made anew is a first one: nobody has seen it yet.
    assert [answer.replayed for answer in told] == [not later, True]
    assert (effects(here), rows(here)) == (1, 1)


def test_the_first_finished_answer_stands(here: Process, there: Process) -> None:
    """Two processes finish the answer of one effect: both send the same bytes."""
    both_acted = threading.Barrier(2)

    def finish(process: Process) -> Told:
        def handle() -> object:
            process.database.transact(lambda _: ["u_1"], mine, SUBJECT)
            both_acted.wait(100)
            return [str(id(process))]

        mine = replace(ONCE)
        return process.book.answer(mine, handle)

    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(finish, [here, there]))

    assert len({answer.kept.data for answer in told}) == 1
    assert sorted(answer.replayed for answer in told) == [False, True]
    assert here.count(ONCE, SUBJECT).kept == told[0].kept


def test_an_answer_that_becomes_a_refusal_after_the_commit(here: Process) -> None:
    def handle() -> object:
        here.database.transact(lambda _: ["u_1"], once, SUBJECT)
        raise Conflict(reason="out_of_stock")

    once = replace(ONCE)
    first = here.book.answer(once, handle)

    assert first.kept.reason == "out_of_stock"
    assert here.count(ONCE, SUBJECT) == Told(first.kept, replayed=True)


def test_an_answer_without_an_effect_is_kept_too(here: Process, there: Process) -> None:
    handle = ["nothing to do"].copy
    first = here.book.answer(replace(ONCE), handle)

    assert there.count(ONCE) == Told(first.kept, replayed=True)
    with pytest.raises(KeyReused):
        here.refuse(replace(ONCE, body_hash="other"), NotFound())


def test_a_key_is_free_again_after_its_time(here: Process, there: Process) -> None:
    here.count(replace(ONCE, keep_s=0))

    assert not there.count(replace(ONCE, body_hash="other")).replayed
    assert effects(here) == 2
    with here.database.unit_of_work() as work:
        row = work.session.query(IdempotencyKey).one()
        assert row.expires_at - row.created_at == 86_400_000


def test_keys_are_pruned_after_their_time(here: Process) -> None:
    for n in range(4):
        here.count(replace(ONCE, key_hash=str(n), keep_s=86_400 if n else 0))

    with here.database.unit_of_work() as work:
        now = database_now(work.session)
        assert idempotency.prune(work.session, before=now + 1, limit=9) == 1
        day = now + 86_400_000 + 60_000
        assert idempotency.prune(work.session, before=day, limit=2) == 2
        assert idempotency.prune(work.session, before=day, limit=2) == 1
        assert idempotency.prune(work.session, before=day, limit=2) == 0


def test_a_caller_does_not_wait_beyond_its_deadline(here: Process) -> None:
    running, go = threading.Event(), threading.Event()

    def slow() -> object:
        running.set()
        return go.wait(100)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(here.book.answer, ONCE, slow)
        assert running.wait(100)
        with under(Deadline.after_ms(10)), pytest.raises(Unavailable):
            here.book.answer(ONCE, slow)
        go.set()
