"""The timeline on both databases: any id of one story tells the whole story."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from config.logging import bind_context, clear_context
from config.schedule import JOBS
from models.base import database_now, new_id
from models.errors import NotFound
from models.events import Event, EventType
from models.idempotency import Once
from models.logins import record_logins
from models.notifications import Notification, NotificationAttempt
from models.operation_work import NewOperation
from models.outbox import Outbox, WorkContext
from models.outbox_lease import Lease, begin, bury, claim, finish
from models.schedule import ScheduleSlot, slot_subject, take_due
from models.security_events import Whereabouts, record_security_event
from models.timeline_walk import MOST_ROWS
from tests.integration.journals import make_login
from web.services.outbox import OutboxService
from web.services.timeline import TimelineService

if TYPE_CHECKING:
    from models.timeline_entries import Entry
    from tasks.app import Resources

REQUEST = "req-42.a"
TASK = "tasks.exports.export_data"
LEASE = Lease(60_000, deaths=3)


@pytest.fixture
def story(house: Resources) -> dict[str, str]:
    """One request that started an operation, whose work started a child and died."""
    clear_context()
    bind_context(request_id=REQUEST)
    with house.database.unit_of_work() as work:
        view = work.start(NewOperation(kind="export", task=TASK, user_id="u_1"))
    clear_context()
    with house.database.unit_of_work() as work:
        (row,) = claim(work.session, "bulk", limit=9, resend_after_ms=30_000)
    with house.database.unit_of_work() as work:
        begun = begin(work.session, row.id, LEASE)
        assert isinstance(begun, Outbox)
    context = WorkContext(row.id, None, view.id, None, REQUEST)
    with house.database.unit_of_work(context) as work:
        child = work.enqueue("tasks.profile.warm_user_cache", "u_1")
    with house.database.unit_of_work() as work:
        finish(work.session, child)
    with house.database.unit_of_work() as work:
        bury(work.session, row.id, "WeChatRefused 40003")
    return {"operation": view.id, "row": row.id, "child": child}


def read(house: Resources, name: str) -> list[Entry]:
    return TimelineService(house.database, house.stores.refusals).read(name).entries


def seen(entries: list[Entry]) -> list[tuple[str, str, str]]:
    return [(entry.kind, entry.id, entry.what) for entry in entries]


def test_every_id_of_a_story_tells_the_same(
    house: Resources, story: dict[str, str]
) -> None:
    desk = OutboxService(house.database, house.settings.journal)
    desk.discard(story["row"], "asked again")
    whole = read(house, REQUEST)

    for name in (*story.values(), f"{story['row']}.1"):
        assert seen(read(house, name)) == seen(whole)
    told = seen(whole)
    row, child, operation = story["row"], story["child"], story["operation"]
    assert {
        ("task", row, "accepted"),
        ("task", row, "discarded"),
        ("task", child, "accepted"),
        ("task", child, "done"),
        ("operation", operation, "accepted"),
        ("operation", operation, "running"),
        ("operation", operation, "failed"),
        ("user_event", "u_1.1", "operation.updated"),
    } <= set(told)
    assert [entry.at for entry in whole] == sorted(entry.at for entry in whole)
    assert len(told) == len(set(told))
    assert "outbox.discard" in {what for _, _, what in told}


def test_details_say_how_often_and_why(house: Resources, story: dict[str, str]) -> None:
    mine = [entry for entry in read(house, story["row"]) if entry.id == story["row"]]
    (dead,) = [entry for entry in mine if entry.what == "dead"]

    assert dead.detail == {
        "attempts": 1,
        "sends": 1,
        "deaths": 0,
        "last_error": "WeChatRefused 40003",
        "task_id": f"{story['row']}.1",
    }


def test_a_user_event_leads_to_its_cause(
    house: Resources, story: dict[str, str]
) -> None:
    entries = read(house, "u_1.1")

    assert ("task", story["row"], "dead") in seen(entries)
    assert ("user_event", "u_1.1", "operation.updated") in seen(entries)


def test_work_about_an_order_is_found_by_the_order(house: Resources) -> None:
    with house.database.unit_of_work() as work:
        row_id = work.enqueue("tasks.orders.confirm_order", "or_17")

    assert seen(read(house, "or_17")) == [("task", row_id, "accepted")]


def test_a_notification_shows_what_wechat_answered(house: Resources) -> None:
    name, attempt = new_id("nt"), new_id("na")
    with house.database.unit_of_work() as work:
        row_id = work.enqueue("tasks.notifications.send_notification", name)
        now = database_now(work.session)
        work.session.add(
            Notification(
                id=name, app_id="app", user_id="u_1", template_key="order_update",
                content_hash="x", data_sealed=b"13800138000", state="failed",
                page="pages/13800138000",
                send_at=now, errcode=43101, busy_answers=0, request_id=REQUEST,
                wechat_msgid="4294967296017",
                created_at=now, updated_at=now + 5,
            )
        )  # fmt: skip
        work.session.add(
            NotificationAttempt(
                id=attempt, notification_id=name, outbox_id=row_id, at=now + 3,
                outcome="failed", errcode=43101,
            )
        )  # fmt: skip

    for asked in (name, row_id, attempt, REQUEST, "4294967296017"):
        entries = read(house, asked)
        assert {
            ("task", row_id, "accepted"),
            ("notification", name, "created"),
            ("wechat", attempt, "failed"),
            ("notification", name, "failed"),
        } == set(seen(entries))
        assert "13800138000" not in str(entries)
    (answer,) = [entry for entry in entries if entry.kind == "wechat"]
    assert answer.detail["errcode"] == 43101


def test_a_login_is_found_by_its_session_and_the_other_way(house: Resources) -> None:
    entry = make_login(house, request_id=REQUEST)
    with house.database.unit_of_work() as work:
        record_logins(work.session, [entry], lambda _: [])

    for asked in (entry.id, entry.session_id, REQUEST):
        entries = read(house, asked)
        kinds = {(kind, what) for kind, _, what in seen(entries)}
        assert {
            ("login", "logged in"),
            ("session", "opened"),
            ("event", "accepted"),
            ("user_event", "login.enriched"),
        } <= kinds
        assert "127.0.0.1" not in str(entries)
        assert "iPhone" not in str(entries)


def test_what_befell_an_account_is_found_by_its_request(house: Resources) -> None:
    where = Whereabouts("se_1", "phone", "203.0.113.9", REQUEST)
    with house.database.unit_of_work() as work:
        record_security_event(
            work.session, "refresh_reused", ("u_1", "app"), where, detail="13800138000"
        )

    (entry,) = read(house, REQUEST)

    assert (entry.kind, entry.what) == ("security", "refresh_reused")
    assert entry.detail["session_id"] == "se_1"
    assert read(house, entry.id) == [entry]
    assert "203.0.113.9" not in str(entry)
    assert "13800138000" not in str(entry)


def test_an_answer_kept_under_a_key_is_found_by_its_request(house: Resources) -> None:
    once = Once("u_1", "PATCH /api/v1/me", "k" * 64, "b" * 64, REQUEST, 60)
    house.database.transact(lambda _: {"city": "Chengdu"}, once)

    (entry,) = read(house, REQUEST)

    assert (entry.kind, entry.id, entry.what) == ("idempotency", REQUEST, "claimed")
    assert entry.detail["route"] == "PATCH /api/v1/me"
    assert "Chengdu" not in str(entry)
    assert "k" * 64 not in str(entry)


def test_a_slot_is_found_by_its_name_with_work_or_without(house: Resources) -> None:
    job = JOBS["sweep_journals"]
    with house.database.unit_of_work() as work:
        (due,) = take_due(work, job).runs
        missed = ScheduleSlot(job=job.name, due=15_000, taken_at=1, state="missed")
        work.session.add(missed)

    kinds = [kind for kind, _, _ in seen(read(house, slot_subject(job.name, due)))]
    assert sorted(kinds) == ["slot", "task"]
    assert seen(read(house, f"{job.name}@15000")) == [
        ("slot", f"{job.name}@15000", "missed")
    ]


def test_an_act_of_a_person_is_found_by_its_own_id_and_its_request(
    house: Resources, story: dict[str, str]
) -> None:
    bind_context(request_id="req-of-admin")
    OutboxService(house.database, house.settings.journal).discard(story["row"], "old")
    clear_context()

    whole = read(house, "req-of-admin")
    (act,) = [entry for entry in whole if entry.kind == "audit"]
    assert seen(read(house, act.id)) == seen(whole)
    assert ("task", story["row"], "discarded") in seen(whole)


def test_every_id_that_a_timeline_prints_leads_back_to_it(
    house: Resources, story: dict[str, str]
) -> None:
    for entry in read(house, story["row"]):
        assert entry in read(house, entry.id)


def test_a_published_event_shows_what_the_user_was_told(house: Resources) -> None:
    with house.database.unit_of_work() as work:
        work.publish(Event(EventType.PROFILE_UPDATED, "u_1", {"nickname": "小明"}))
    with house.database.read() as session:
        row_id = session.scalar(sa.select(Outbox.id))
    assert row_id is not None

    entries = read(house, row_id)

    assert ("user_event", "u_1.1", "profile.updated") in seen(entries)
    assert "小明" not in str(entries)


def test_nobody_elses_work_is_told(house: Resources, story: dict[str, str]) -> None:
    with house.database.unit_of_work() as work:
        other = work.enqueue("tasks.profile.warm_user_cache", "u_1")

    assert other not in {entry.id for entry in read(house, story["row"])}
    assert other in {entry.id for entry in read(house, "u_1")}


def test_an_unknown_id_is_not_found(house: Resources, story: dict[str, str]) -> None:
    for name in ("ob_nobody", "ob_nobody.1", "u_1.99", "x", "%", "0" * 300):
        with pytest.raises(NotFound):
            read(house, name)


def test_a_busy_id_is_cut_short(house: Resources) -> None:
    with house.database.unit_of_work() as work:
        for _ in range(MOST_ROWS + 20):
            work.enqueue("tasks.orders.confirm_order", "or_1")

    timeline = TimelineService(house.database, house.stores.refusals).read("or_1")

    assert timeline.truncated
    assert len(timeline.entries) <= 500


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_pages_together_are_the_whole_timeline(
    house: Resources, story: dict[str, str], limit: int
) -> None:
    service = TimelineService(house.database, house.stores.refusals)
    whole = service.read(story["row"])
    found: list[Entry] = []
    cursor: str | None = None
    while True:
        page = service.read(story["row"], cursor, limit)
        assert 0 < len(page.entries) <= limit
        found += page.entries
        cursor = page.next_cursor
        assert page.has_more == (cursor is not None)
        if cursor is None:
            break

    assert len(whole.entries) > 2
    assert (found, whole.has_more) == (whole.entries, False)
