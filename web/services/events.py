"""The channel on which a user's pages hear of each other: long poll and stream.

SQL gives what lies behind the cursor (`event_follower`), the hub what happens from
then on.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

import msgspec

from config.clock import MS_PER_S, Deadline, monotonic, now_ms
from config.patience import for_at_least, under
from models.events import EventType
from web.services.event_follower import EventView, Follower, Wish

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from config.settings import Settings
    from models.database import Database
    from web.services.event_hub import EventHub

HEARTBEAT: Final = b'{"type": "heartbeat"}\n'
# Streams opened together must not end together: a tenth of their life, in steps.
JITTER_STEPS: Final = 1000
_encode: Final = msgspec.json.Encoder().encode


class EventPage(msgspec.Struct, frozen=True):
    """Events in order, and the cursor to ask with next."""

    events: list[EventView]
    cursor: str


class EventService:
    """Opens followers for clients and waits for them."""

    def __init__(self, settings: Settings, hub: EventHub, database: Database) -> None:
        self._settings = settings.events
        self._reserve_s = settings.operations.answer_reserve_ms / MS_PER_S
        self._hub = hub
        self._database = database

    def poll(
        self, wish: Wish, wait_ms: int, patience: Deadline | None = None
    ) -> EventPage:
        """Return what follows the cursor, once there is something or time is up.

        Nothing waits beyond ``patience``, which the client named; None stands for the
        wish to wait alone, whatever a request gets by default. `DatabaseUnavailable`
        when SQL is away at the start; later it is waited for.
        """
        follower = Follower(self._database, wish)
        if not wait_ms:
            follower.start()
            return EventPage(follower.next(), follower.cursor)
        self._hub.add(follower.listener)
        try:
            wished = for_at_least(wait_ms / MS_PER_S)
            with wished if patience is None else under(patience):
                return _first_page(follower, self._until(wait_ms, patience))
        finally:
            self._hub.remove(follower.listener)

    def _until(self, wait_ms: int, patience: Deadline | None) -> Deadline:
        wished = Deadline.after_ms(wait_ms)
        if patience is None:
            return wished
        return wished.earlier(Deadline(patience.at - self._reserve_s))

    def stream(self, wish: Wish) -> EventFeed:
        """Return the endless form of `poll`: lines until the token's end or ours.

        `DatabaseUnavailable` when SQL is away at the start; later it is waited for.
        """
        follower = Follower(self._database, wish)
        self._hub.add(follower.listener)
        feed = EventFeed(self._hub, follower, wish.claims.session_id)
        try:
            follower.start()
        except BaseException:
            feed.close()
            raise
        feed.run_for(self._settings.heartbeat_s, self._life_s(wish))
        return feed

    def _life_s(self, wish: Wish) -> float:
        jitter = secrets.randbelow(JITTER_STEPS) / JITTER_STEPS / 10
        token_s = wish.claims.expires_at - now_ms() / MS_PER_S
        return min(self._settings.stream_s * (1 - jitter), token_s)


def _first_page(follower: Follower, deadline: Deadline) -> EventPage:
    follower.start()
    while True:
        events = follower.next()
        if events or deadline.expired or follower.listener.ended:
            return EventPage(events, follower.cursor)
        follower.wait(deadline.remaining_s())


class EventFeed:
    """The lines of one stream, and its place in the hub until it is closed."""

    __slots__ = (
        "_beats_at",
        "_closed",
        "_ends_at",
        "_follower",
        "_heartbeat_s",
        "_hub",
        "_revoked",
        "_session_id",
    )

    def __init__(self, hub: EventHub, follower: Follower, session_id: str) -> None:
        self._hub = hub
        self._follower = follower
        self._session_id = session_id
        self._heartbeat_s = self._beats_at = self._ends_at = 0.0
        self._revoked = self._closed = False

    def run_for(self, heartbeat_s: float, life_s: float) -> None:
        """Count heartbeats and life from now on."""
        now = monotonic()
        self._heartbeat_s = heartbeat_s
        self._beats_at, self._ends_at = now + heartbeat_s, now + life_s

    @property
    def cursor(self) -> str:
        """Where the stream begins, or has come to."""
        return self._follower.cursor

    def __iter__(self) -> EventFeed:
        return self

    def __next__(self) -> bytes:
        """Wait for the next lines: events, or a heartbeat when it is time for one."""
        while not self._revoked:
            if events := self._follower.next():
                return b"".join(self._lines(events))
            now = monotonic()
            if self._follower.listener.ended or now >= self._ends_at:
                break
            if now >= self._beats_at:
                self._beats_at = now + self._heartbeat_s
                return HEARTBEAT
            self._follower.wait(min(self._beats_at, self._ends_at) - now)
        raise StopIteration

    def close(self) -> None:
        """Leave the hub; the server calls it whatever ended the stream."""
        if not self._closed:
            self._closed = True
            self._hub.remove(self._follower.listener)

    def _lines(self, events: Sequence[EventView]) -> Iterator[bytes]:
        for event in events:
            yield _encode(event) + b"\n"
            if event.type == EventType.SESSION_REVOKED and self._is_ours(event):
                self._revoked = True
                return

    def _is_ours(self, event: EventView) -> bool:
        told = msgspec.json.decode(event.data, type=dict[str, object])
        return told.get("session_id") == self._session_id
