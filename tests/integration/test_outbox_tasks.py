"""The base task on both databases: one effect a row, whatever fails or comes twice."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from celery import Celery
from celery.exceptions import SoftTimeLimitExceeded

from models.errors import DatabaseUnavailable, InvalidInput, RedisUnavailable
from models.inbox import mark_done
from models.operation_work import NewOperation
from models.operations import find_view
from models.outbox import Outbox
from models.outbox_lease import Lease, begin, bury, claim
from models.users import update_profile
from tasks.app import configure, resources
from tasks.base import OutboxTask, WorkDead
from tasks.work import Work
from tests.integration.journals import look, outbox_row

if TYPE_CHECKING:
    from collections.abc import Callable

    from config.settings import Settings
    from tasks.app import Resources

PERSON = "13800138000"
lab = Celery("lab", set_as_current=False)
faults: list[BaseException] = []


@lab.task(base=OutboxTask, shared=False, name="lab.count")
def count(work: Work) -> None:
    """Count one login of the subject, unless a fault is waiting."""
    with work.effect() as uow:
        user = update_profile(uow.session, work.subject_id, {})
        update_profile(
            uow.session, work.subject_id, {"login_count": user.login_count + 1}
        )
        if faults:
            raise faults.pop()


@lab.task(base=OutboxTask, shared=False, name="lab.look")
def only_look(work: Work) -> None:
    """Find that there is nothing to change."""
    assert work.subject_id


@lab.task(base=OutboxTask, shared=False, name="lab.overtaken")
def overtaken(work: Work) -> None:
    """Be overtaken by a person who sets the work aside."""
    with work.resources.database.unit_of_work() as uow:
        bury(uow.session, work.outbox_id, "by a person")
    count.run(work)


@pytest.fixture(autouse=True)
def no_faults() -> None:
    """Leave no fault that another test has planned."""
    faults.clear()


def accept(house: Resources) -> str:
    """Accept one piece of work and hand it over, as the relay does."""
    with house.database.unit_of_work() as work:
        row_id = work.enqueue("lab.count", "u_1")
    with house.database.unit_of_work() as work:
        claim(work.session, "maintenance", limit=10, resend_after_ms=30_000)
    return row_id


def counted(house: Resources) -> int:
    """Return how often the effect happened."""
    return int(look(house, "SELECT login_count n FROM users")[0]["n"])


def test_an_effect_happens_once_however_often_the_message_comes(
    house: Resources,
) -> None:
    row_id = accept(house)

    outcomes = [count(row_id) for _ in range(4)]

    assert outcomes == ["done", "nothing", "nothing", "nothing"]
    assert counted(house) == 1
    assert outbox_row(house, row_id).state == "done"


def test_copies_at_the_same_moment_have_one_effect(house: Resources) -> None:
    for _ in range(5):
        row_id = accept(house)
        with ThreadPoolExecutor(4) as pool:
            outcomes = list(pool.map(count, [row_id] * 4))
        assert outcomes.count("done") == 1

    assert counted(house) == 5


def test_a_row_revived_after_its_effect_is_closed_without_another(
    house: Resources,
) -> None:
    row_id = accept(house)
    with house.database.unit_of_work() as work:
        mark_done(work.session, "lab.count", row_id)

    assert count(row_id) == "doubled"
    assert counted(house) == 0
    assert outbox_row(house, row_id).state == "done"


def test_a_body_without_effect_finishes_its_row(house: Resources) -> None:
    row_id = accept(house)

    assert only_look(row_id) == "done"
    assert outbox_row(house, row_id).state == "done"


@pytest.mark.parametrize(
    "fault",
    [DatabaseUnavailable(PERSON), RedisUnavailable(PERSON), SoftTimeLimitExceeded()],
    ids=lambda fault: type(fault).__name__,
)
def test_a_passing_fault_gives_the_work_back(
    house: Resources, fault: Exception
) -> None:
    row_id = accept(house)
    faults.append(fault)

    assert count(row_id) == "postponed"

    row = outbox_row(house, row_id)
    assert (row.state, row.attempts) == ("ready", 1)
    assert row.visible_at > row.updated_at
    assert row.last_error is not None
    assert PERSON not in row.last_error
    assert counted(house) == 0
    assert count(row_id) == "done"
    assert counted(house) == 1


@pytest.mark.parametrize("fault", [InvalidInput(PERSON), KeyError(PERSON)], ids=repr)
def test_a_lasting_fault_sets_the_work_aside(
    house: Resources, fault: Exception
) -> None:
    row_id = accept(house)
    faults.append(fault)

    with pytest.raises(WorkDead) as dead:
        count(row_id)

    row = outbox_row(house, row_id)
    assert row.state == "dead"
    assert PERSON not in f"{row.last_error} {dead.value} {dead.value.__context__}"
    assert counted(house) == 0


def test_a_killed_body_keeps_its_attempt_and_its_lease(house: Resources) -> None:
    row_id = accept(house)
    faults.append(SystemExit())

    with pytest.raises(SystemExit):
        count(row_id)

    row = outbox_row(house, row_id)
    assert (row.state, row.attempts) == ("sent", 1)
    assert row.visible_at - row.updated_at == house.settings.journal.lease_s * 1000


def test_work_buried_meanwhile_has_no_effect(house: Resources) -> None:
    row_id = accept(house)

    assert overtaken(row_id) == "doubled"
    assert counted(house) == 0
    assert outbox_row(house, row_id).state == "dead"


def test_unknown_work_ends_quietly(house: Resources) -> None:
    assert count("ob_" + "0" * 26) == "nothing"


def test_without_the_database_the_lease_decides(
    redis_url: str, make_settings: Callable[..., Settings]
) -> None:
    nowhere = "mysql+pymysql://k:k@127.0.0.1:1/k"
    configure(make_settings(DATABASE_URL=nowhere, REDIS_URL=redis_url))

    assert count("ob_" + "0" * 26) == "postponed"
    resources().close()


def test_a_commit_wakes_the_relay(house: Resources) -> None:
    with house.database.unit_of_work() as work:
        work.enqueue("lab.count", "u_1")

    assert house.stores.wait_for_work(0.2)


def test_attempts_are_counted_before_the_work(house: Resources) -> None:
    row_id = accept(house)
    for _ in range(3):
        with house.database.unit_of_work() as work:
            begin(work.session, row_id, Lease(-1, deaths=9))

    assert outbox_row(house, row_id).attempts == 3


@lab.task(base=OutboxTask, shared=False, name="lab.late")
def late(work: Work) -> None:
    """Count, after another attempt has taken the row over."""
    with work.resources.database.unit_of_work() as uow:
        newest = uow.session.get_one(Outbox, work.outbox_id).message_id
        lease = Lease(60_000, 9)
        begun = begin(uow.session, work.outbox_id, lease, lost_message=newest)
        assert isinstance(begun, Outbox)
    count.run(work)


def test_a_late_copy_is_refused_by_its_fence(house: Resources) -> None:
    row_id = accept(house)

    assert late(row_id) == "overtaken"
    assert counted(house) == 0
    assert outbox_row(house, row_id).state == "sent"


def test_a_message_that_celery_repeats_means_a_dead_holder(house: Resources) -> None:
    row_id = accept(house)
    with house.database.unit_of_work() as work:
        begin(work.session, row_id, Lease(60_000, 3))

    assert count(row_id) == "held"
    assert repeated(row_id, "0") == "held"
    assert repeated(row_id, "1") == "done"
    assert counted(house) == 1
    assert outbox_row(house, row_id).deaths == 1


def repeated(row_id: str, sending: str) -> str:
    """Return the outcome of a message that Celery repeats for a dead process."""
    count.push_request(id=f"{row_id}.{sending}", retries=1)
    try:
        return count.handle(row_id)
    finally:
        count.pop_request()


@lab.task(base=OutboxTask, shared=False, name="lab.parent")
def parent(work: Work) -> None:
    """Finish an operation and start what follows from it."""
    with work.effect() as uow:
        work.succeed(uow, {"n": 1})
        uow.enqueue("lab.look", "child")


def test_what_follows_from_a_success_still_runs(house: Resources) -> None:
    with house.database.unit_of_work() as uow:
        started = uow.start(NewOperation(kind="lab", task="lab.parent"))
    (row,) = look(house, "SELECT id FROM outbox")

    assert parent(row["id"]) == "done"

    with house.database.read() as session:
        found = find_view(session, started.id)
    assert found is not None
    assert (found.state, found.percent, found.result) == ("succeeded", 100, {"n": 1})
    (child,) = look(
        house, "SELECT id, operation_id FROM outbox WHERE name = 'lab.look'"
    )
    assert child["operation_id"] == started.id
    assert only_look(child["id"]) == "done"


def test_a_body_without_effect_that_is_overtaken_ends_quietly(
    house: Resources,
) -> None:
    assert overtaken_look(accept(house)) == "doubled"


@lab.task(base=OutboxTask, shared=False, name="lab.overtaken_look")
def overtaken_look(work: Work) -> None:
    """Be set aside by a person, and find nothing to change."""
    with work.resources.database.unit_of_work() as uow:
        bury(uow.session, work.outbox_id, "by a person")
