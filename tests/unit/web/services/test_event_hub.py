"""The hub over a tail in memory and SQLite: who is told, when, and when not."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from config.clock import Deadline
from models.errors import Limited, Unavailable
from tests.unit.web.services.conftest import Leaver, MemoryTail
from web.services.listeners import Listener

if TYPE_CHECKING:
    from collections.abc import Callable

    from web.services.event_hub import EventHub

LONG = 60_000
USER = "u_1"


def in_thread(act: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=act)
    thread.start()
    return thread


def test_a_commit_reaches_who_waits_for_that_user(
    make_hub: Callable[..., EventHub], publish: Callable[..., None]
) -> None:
    hub = make_hub(EVENTS_AWAY_POLL_S="60")
    listener = Listener(USER, 0)
    hub.add(listener)
    publish("u_2")
    publish()
    listener.wait(LONG / 1000)

    (told,) = listener.take(100)
    assert (told.user_id, told.seq, told.type) == (USER, 1, "profile.updated")
    hub.remove(listener)
    assert hub.count(USER) == 0


@pytest.mark.parametrize("fault", ["away", "loses"])
def test_what_the_tail_does_not_bring_is_found_in_sql(
    make_hub: Callable[..., EventHub],
    publish: Callable[..., None],
    tail: MemoryTail,
    fault: str,
) -> None:
    # A lost word is found by the slow poll; Redis away needs none, it looks oftener.
    slow = "60" if fault == "away" else "0.05"
    hub = make_hub(EVENTS_POLL_S=slow, EVENTS_AWAY_POLL_S="0.02")
    setattr(tail, fault, True)
    listener = Listener(USER, 0)
    hub.add(listener)
    publish()
    while not listener.behind:
        listener.wait(LONG / 1000)

    hub.remove(listener)


def test_the_reader_goes_on_after_an_absence(
    make_hub: Callable[..., EventHub], publish: Callable[..., None], tail: MemoryTail
) -> None:
    hub = make_hub(EVENTS_AWAY_POLL_S="60")
    tail.away = True
    listener = Listener(USER, 0)
    hub.add(listener)
    tail.away = False
    publish()
    listener.wait(LONG / 1000)

    assert len(listener.take(100)) == 1
    hub.remove(listener)


def test_all_go_when_the_process_leaves(make_hub: Callable[..., EventHub]) -> None:
    hub, line = make_hub(), Leaver()
    first, second = Listener("u_1", 0, line), Listener("u_2", 0, line)
    hub.add(first)
    hub.add(second)
    line.leaves = True
    first.wait(LONG / 1000)
    second.wait(LONG / 1000)
    late = Listener("u_3", 0, line)
    hub.add(late)

    assert first.ended
    assert second.ended
    assert late.ended


def test_a_client_that_hung_up_is_let_go(
    make_hub: Callable[..., EventHub], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.services.event_hub.HANGUP_LOOK_S", 0.0)
    hub, line = make_hub(EVENTS_AWAY_POLL_S="0.02"), Leaver()
    gone, other = Listener(USER, 0, line), Listener(USER, 0)
    hub.add(gone)
    hub.add(other)
    line.gone = True
    gone.wait(LONG / 1000)

    assert gone.ended
    assert not other.ended


def test_wait_for_looks_at_once_and_asks_nobody_when_that_is_enough(
    make_hub: Callable[..., EventHub],
) -> None:
    looks = iter(["found"])

    found = make_hub().wait_for(USER, lambda: next(looks), Deadline.after_ms(LONG))

    assert found == "found"


def test_wait_for_looks_again_when_something_happened(
    make_hub: Callable[..., EventHub], publish: Callable[..., None]
) -> None:
    hub = make_hub(EVENTS_AWAY_POLL_S="60")
    looks: list[int] = []
    looked = threading.Event()

    def look() -> str | None:
        looks.append(1)
        looked.set()
        return "done" if len(looks) > 1 else None

    def finish() -> None:
        looked.wait()
        publish()

    thread = in_thread(finish)
    assert hub.wait_for(USER, look, Deadline.after_ms(LONG)) == "done"
    thread.join()
    assert len(looks) == 2


def test_wait_for_looks_again_when_the_word_was_lost(
    make_hub: Callable[..., EventHub],
) -> None:
    hub = make_hub(EVENTS_AWAY_POLL_S="0.02")
    looks = iter([None, None, "done"])

    found = hub.wait_for(USER, lambda: next(looks), Deadline.after_ms(LONG))

    assert found == "done"


def test_wait_for_gives_up_at_its_deadline_and_leaves_nothing_behind(
    make_hub: Callable[..., EventHub],
) -> None:
    hub = make_hub()
    nothing: list[str] = []

    assert hub.wait_for(USER, lambda: next(iter(nothing), None), Deadline(0)) is None
    with pytest.raises(ZeroDivisionError):
        hub.wait_for(USER, lambda: 1 / 0, Deadline.after_ms(LONG))
    assert hub.count(USER) == 0


def test_a_user_may_not_listen_without_end(make_hub: Callable[..., EventHub]) -> None:
    hub = make_hub(EVENTS_PER_USER="2")
    for _ in range(2):
        hub.add(Listener(USER, 0))
    hub.add(Listener("u_2", 0))

    with pytest.raises(Limited) as refused:
        hub.add(Listener(USER, 0))
    assert refused.value.retry_after_ms
    without = make_hub(EVENTS_PER_USER="2", RATE_LIMITS="off")
    for _ in range(3):
        without.add(Listener(USER, 0))


def test_listeners_leave_connections_for_requests(
    make_hub: Callable[..., EventHub],
) -> None:
    hub = make_hub(WEB_CONNECTIONS="10", EVENTS_CONNECTION_SHARE="0.25")
    first = Listener("u_1", 0)
    hub.add(first)
    hub.add(Listener("u_2", 0))

    with pytest.raises(Unavailable) as refused:
        hub.add(Listener("u_3", 0))
    assert (refused.value.reason, refused.value.retry_after_ms) == ("overloaded", 5000)
    assert hub.count("u_3") == 0
    # Who waits for the end of work of its own is no listener, and is let in.
    assert hub.wait_for("u_3", lambda: 1, Deadline.after_ms(LONG)) == 1
    hub.remove(first)
    hub.add(Listener("u_3", 0))
