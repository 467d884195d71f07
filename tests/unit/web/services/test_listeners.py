"""A listener's promise: every event once and in order, whichever way it comes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from models.user_events import EventSlice, NumberedEvent
from web.services.listeners import KEPT_EVENTS, Bell, Listener

USER = "u_1"


def event(seq: int) -> NumberedEvent:
    return NumberedEvent(USER, seq, "profile.updated", 1000 + seq, "{}")


def numbers(events: object) -> list[int]:
    assert isinstance(events, list)
    return [e.seq for e in events]


def sql(listener: Listener, head: int, limit: int = 100) -> list[int]:
    """Bring what SQL holds after the cursor, as a page of ``limit``."""
    first = listener.cursor + 1
    found = [event(seq) for seq in range(first, min(head, first + limit - 1) + 1)]
    listener.catch_up(EventSlice(found, head))
    return numbers(found)


def test_events_that_continue_the_cursor_need_no_sql() -> None:
    listener = Listener(USER, 4)
    for seq in (5, 6):
        listener.hear(event(seq))

    assert not listener.behind
    assert numbers(listener.take(100)) == [5, 6]
    assert (listener.cursor, listener.behind) == (6, False)


def test_a_gap_asks_sql_and_what_it_brought_is_not_told_twice() -> None:
    listener = Listener(USER, 4)
    listener.hear(event(6))

    assert listener.behind
    assert numbers(listener.take(100)) == []
    assert sql(listener, head=6) == [5, 6]
    listener.hear(event(5))
    listener.hear(event(6))
    assert numbers(listener.take(100)) == []
    assert not listener.behind


def test_events_heard_while_sql_is_read_are_kept_once() -> None:
    listener = Listener(USER, 4)
    listener.hear(event(5))
    assert sql(listener, head=6) == [5, 6]
    listener.hear(event(6))
    listener.hear(event(7))

    assert numbers(listener.take(100)) == [7]


def test_a_number_from_sql_wakes_for_what_the_tail_lost() -> None:
    listener = Listener(USER, 4)
    listener.hear_head(5)

    assert listener.behind
    assert sql(listener, head=5) == [5]


def test_a_slow_client_keeps_no_more_than_a_page_in_memory() -> None:
    listener = Listener(USER, 0)
    for seq in range(1, 3 * KEPT_EVENTS):
        listener.hear(event(seq))

    assert len(listener.take(10_000)) == KEPT_EVENTS
    assert listener.behind
    assert sql(listener, head=3 * KEPT_EVENTS - 1)[0] == KEPT_EVENTS + 1


def test_a_page_leaves_the_rest_for_the_next() -> None:
    listener = Listener(USER, 0)
    assert sql(listener, head=5, limit=2) == [1, 2]
    assert listener.behind

    fresh = Listener(USER, 0)
    for seq in (1, 2, 3):
        fresh.hear(event(seq))
    assert numbers(fresh.take(2)) == [1, 2]
    assert numbers(fresh.take(2)) == [3]


def test_a_listener_from_now_on_keeps_what_came_meanwhile() -> None:
    listener = Listener(USER, 0)
    for seq in (7, 8):
        listener.hear(event(seq))
    listener.start_at(7)

    assert listener.behind
    assert sql(listener, head=8) == [8]


def test_a_cursor_ahead_of_everything_goes_on_at_the_head() -> None:
    listener = Listener(USER, 900)
    listener.catch_up(EventSlice([], 3, "ahead"))
    listener.hear(event(4))

    assert numbers(listener.take(100)) == [4]


def test_a_rung_bell_lets_the_next_wait_be_none() -> None:
    bell = Bell(USER)
    bell.ring()
    bell.ring()
    bell.wait(60)
    bell.end()
    bell.wait(60)
    bell.wait(60)


class Client:
    """Takes three at a time; its events come at once, late, doubled or never."""

    def __init__(self) -> None:
        self.listener = Listener(USER, 0)
        self.head = 0
        self.told: list[int] = []
        self.under_way: list[NumberedEvent] = []

    def lose(self) -> None:
        self.head += 1
        self.under_way.append(event(self.head))

    def commit(self) -> None:
        self.lose()
        self.listener.hear(event(self.head))

    def late(self) -> None:
        if self.under_way:
            self.listener.hear(self.under_way.pop(0))

    def overtake(self) -> None:
        if self.under_way:
            self.listener.hear(self.under_way.pop())

    def poll(self) -> None:
        self.listener.hear_head(self.head)

    def take(self) -> None:
        self.told.extend(numbers(self.listener.take(3)))
        if self.listener.behind:
            self.told.extend(sql(self.listener, self.head, limit=3))


@given(
    st.lists(
        st.sampled_from(["commit", "lose", "late", "overtake", "poll", "take"]),
        max_size=60,
    )
)
def test_whatever_is_lost_late_or_doubled_each_event_comes_once_in_order(
    steps: list[str],
) -> None:
    client = Client()
    for step in steps:
        getattr(client, step)()
    client.poll()
    for _ in range(client.head + 1):
        client.take()

    assert client.told == list(range(1, client.head + 1))
