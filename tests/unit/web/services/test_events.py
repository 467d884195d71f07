"""Long polls and streams over the hub: cursors, waits, ends."""

from __future__ import annotations

import json
import threading
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import sqlalchemy as sa

from config.clock import Deadline, monotonic, now_ms
from models.errors import DatabaseUnavailable, KuaidaError
from models.sessions import Session
from models.user_events import UserEvent
from models.users import User, ensure_user
from tests.unit.web.services.conftest import Leaver
from web.services.caller import Claims
from web.services.event_follower import Wish
from web.services.events import EventService

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from config.settings import Settings
    from models.database import Database
    from tests.unit.web.services.conftest import MemoryTail
    from web.services.event_hub import EventHub
    from web.services.events import EventPage

LONG = 60_000
SLOW = {"EVENTS_POLL_S": "60", "EVENTS_AWAY_POLL_S": "60"}
Make = "Callable[..., EventService]"


def wish(cursor: int | None = None, *, life_s: float = 900, **more: Any) -> Wish:
    at = now_ms() // 1000
    claims = Claims("u_1", "se_1", "wx1", "se_1.1", int(at + life_s), at)
    return Wish(claims, cursor, **more)


def ids(page: EventPage) -> list[str]:
    return [event.id for event in page.events]


def lines(pieces: Iterable[bytes]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in b"".join(pieces).splitlines()]


@pytest.fixture
def make(
    make_hub: Callable[..., EventHub],
    make_settings: Callable[..., Settings],
    sqlite: Database,
) -> Callable[..., EventService]:
    def act(**variables: str) -> EventService:
        chosen = {**SLOW, **variables}
        return EventService(make_settings(**chosen), make_hub(**chosen), sqlite)

    return act


@pytest.fixture
def service(make: Callable[..., EventService]) -> EventService:
    return make()


def later(act: Callable[[], object], seconds: float = 0.1) -> threading.Timer:
    timer = threading.Timer(seconds, act)
    timer.start()
    return timer


# Long polls


def test_without_a_cursor_the_channel_begins_now(
    service: EventService, publish: Callable[..., None]
) -> None:
    assert service.poll(wish(), 0).cursor == "0"
    publish()
    publish()
    page = service.poll(wish(), 0)

    assert (page.events, page.cursor) == ([], "2")


def test_any_cursor_goes_on_where_it_stood(
    service: EventService, publish: Callable[..., None]
) -> None:
    for number in range(5):
        publish(number=str(number))

    page = service.poll(wish(2, limit=2), 0)
    assert (ids(page), page.cursor) == (["3", "4"], "4")
    assert msgspec.json.decode(page.events[0].data) == {"number": "2"}
    assert ids(service.poll(wish(4), LONG)) == ["5"]
    assert ids(service.poll(wish(5), 0)) == []


def test_waiting_ends_with_the_event(
    service: EventService, publish: Callable[..., None]
) -> None:
    publish()
    later(lambda: publish("u_2"), 0.05)
    timer = later(publish)
    page = service.poll(wish(1), LONG)
    timer.join()

    assert (ids(page), page.cursor) == (["2"], "2")


def test_waiting_from_now_on_leaves_out_what_was(
    service: EventService, publish: Callable[..., None]
) -> None:
    publish()
    told = threading.Event()

    def go_on_publishing() -> None:
        # Nobody sees from when on the other listens, so there is news until it is told.
        while not told.wait(0.05):
            publish()

    author = threading.Thread(target=go_on_publishing)
    author.start()
    page = service.poll(wish(), LONG)
    told.set()
    author.join()

    assert ids(page)
    assert "1" not in ids(page)


def test_waiting_ends_at_its_time_with_the_same_cursor(service: EventService) -> None:
    began = monotonic()
    page = service.poll(wish(0), 100)

    assert (page.events, page.cursor) == ([], "0")
    assert monotonic() - began >= 0.1


@pytest.mark.timeout(110)
def test_nobody_waits_longer_than_they_said_they_would(service: EventService) -> None:
    page = service.poll(wish(0), 600_000, Deadline.after_ms(300))

    assert (page.events, page.cursor) == ([], "0")


@pytest.mark.parametrize("cursor", [1, 900], ids=["too_old", "ahead"])
def test_a_cursor_that_cannot_be_followed_is_one_resync(
    request: pytest.FixtureRequest,
    service: EventService,
    publish: Callable[..., None],
    sqlite: Database,
    cursor: int,
) -> None:
    for _ in range(4):
        publish()
    with sqlite.unit_of_work() as work:
        work.session.execute(sa.delete(UserEvent).where(UserEvent.seq < 3))

    page = service.poll(wish(cursor), LONG)
    (event,) = page.events
    assert (event.type, event.id, page.cursor) == ("resync", "4", "4")
    assert msgspec.json.decode(event.data)["reason"] in request.node.name
    publish()
    assert ids(service.poll(wish(int(page.cursor)), LONG)) == ["5"]


def test_the_rest_of_a_long_story_comes_page_by_page(
    service: EventService, publish: Callable[..., None]
) -> None:
    for _ in range(7):
        publish()
    told: list[str] = []
    cursor = 0
    while cursor < 7:
        page = service.poll(wish(cursor, limit=3), LONG)
        told += ids(page)
        cursor = int(page.cursor)

    assert told == [str(n) for n in range(1, 8)]


def test_a_leaving_process_answers_at_once(service: EventService) -> None:
    line = Leaver()
    later(lambda: setattr(line, "leaves", True))
    page = service.poll(wish(0, line=line), 600_000)

    assert (page.events, page.cursor) == ([], "0")


def test_sql_away_refuses_at_the_start(service: EventService, sqlite: Database) -> None:
    rename(sqlite, "users", "gone")

    for ask in (
        lambda: service.poll(wish(0), 0),
        lambda: service.poll(wish(0), LONG),
        lambda: service.stream(wish(0)),
    ):
        with pytest.raises(DatabaseUnavailable):
            ask()
    # Nobody is left behind in the hub.
    assert service._hub.count("u_1") == 0


def test_sql_away_while_waiting_is_waited_for(
    make: Callable[..., EventService],
    publish: Callable[..., None],
    sqlite: Database,
    tail: MemoryTail,
) -> None:
    service = make()
    publish()
    feed = service.stream(wish(1))
    tail.loses = True
    publish()
    tail.loses = False
    publish()

    # The tail brought number 3 alone: 2 must come from SQL, which is away just now.
    rename(sqlite, "users", "gone")
    timer = later(lambda: rename(sqlite, "gone", "users"), 0.3)
    told = [line["id"] for line in lines(islice(feed, 1))]
    timer.join()
    feed.close()
    assert told == ["2", "3"]


def rename(database: Database, old: str, new: str) -> None:
    with database.engine.begin() as link:
        link.exec_driver_sql(f"ALTER TABLE {old} RENAME TO {new}")


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ((5, None, 0), "session_revoked"),
        ((None, None, 1), "session_revoked"),
        ((None, 5, 1), "user_banned"),
        ((None, None, 0), ""),
    ],
    ids=["revoked", "epoch", "banned", "live"],
)
def test_what_ended_between_admission_and_start_is_not_followed(
    service: EventService,
    sqlite: Database,
    facts: tuple[int | None, int | None, int],
    reason: str,
) -> None:
    with sqlite.unit_of_work() as work:
        ensure_user(work.session, "u_1", "wx1", 1)
        user = work.session.get_one(User, "u_1")
        revoked_at, user.banned_at, user.epoch = facts
        times = dict.fromkeys(
            ("rotated_at", "created_at", "last_seen_at", "expires_at"), 1
        )
        row = Session(id="se_1", user_id="u_1", app_id="wx1", generation=1, **times)
        row.revoked_at, row.epoch = revoked_at, 0
        work.session.add(row)

    if not reason:
        service.stream(wish()).close()
        return
    for ask in (lambda: service.stream(wish()), lambda: service.poll(wish(), LONG)):
        with pytest.raises(KuaidaError) as error:
            ask()
        assert error.value.reason == reason
    assert service._hub.count("u_1") == 0


# Streams


def test_a_stream_tells_what_lies_behind_and_what_happens(
    service: EventService, publish: Callable[..., None]
) -> None:
    publish()
    feed = service.stream(wish(0))
    timer = later(publish)
    told = lines(islice(feed, 2))
    timer.join()

    assert [line["id"] for line in told] == ["1", "2"]
    assert told[0].keys() == {"id", "type", "at", "data"}
    feed.close()
    feed.close()
    assert service._hub.count("u_1") == 0


def test_a_stream_beats_while_nothing_happens(
    make: Callable[..., EventService],
) -> None:
    feed = make(EVENTS_HEARTBEAT_S="0.02").stream(wish())
    began = monotonic()

    assert lines(islice(feed, 3)) == [{"type": "heartbeat"}] * 3
    assert monotonic() - began >= 0.06
    feed.close()


def test_a_stream_ends_with_its_life_and_with_its_token(
    make: Callable[..., EventService],
) -> None:
    short = make(EVENTS_STREAM_S="0.05").stream(wish())
    assert list(short) == []
    short.close()

    expired = make().stream(wish(life_s=0))
    assert list(expired) == []
    expired.close()


def test_a_stream_ends_after_it_told_the_end_of_its_own_session(
    service: EventService, publish: Callable[..., None]
) -> None:
    publish(kind="session.revoked", session_id="se_2")
    publish()
    publish(kind="session.revoked", session_id="se_1")
    publish()
    feed = service.stream(wish(0))

    told = lines(feed)

    assert [line["id"] for line in told] == ["1", "2", "3"]
    feed.close()


def test_a_stream_ends_when_its_process_leaves_or_its_client_is_gone(
    service: EventService,
) -> None:
    line = Leaver()
    feed = service.stream(wish(line=line))
    later(lambda: setattr(line, "leaves", True))

    assert list(feed) == []
    feed.close()
