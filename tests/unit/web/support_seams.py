"""The support view in memory: one dead row, one timeline, an empty house."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

from models.account_acts import Acted
from models.account_facts import StandingSeen
from models.accounts import Account
from models.errors import NotFound
from models.outbox_item import OutboxItem
from models.timeline_entries import Entry
from models.users import Profile
from web.services.key_reset import KeyReset
from web.services.outbox_shapes import Discarded, OutboxPage, Replayed
from web.services.queues import Queues
from web.services.schedule import Schedule
from web.services.support import Support
from web.services.timeline import TimelinePage

if TYPE_CHECKING:
    from config.clock import Deadline
    from models.idempotency import Once
    from tests.unit.web.risk_seams import MemoryRisk
    from web.services.outbox_shapes import OutboxQuery

T = TypeVar("T")
Pages = list[tuple[str | None, int | None]]


@dataclass
class MemoryOutbox:
    """Keeps what it was asked; knows one dead row, named ``ob_1``."""

    asked: list[tuple[object, ...]] = field(default_factory=list)

    def page(self, query: OutboxQuery, cursor: str | None, limit: int) -> OutboxPage:
        self.asked.append((query, cursor, limit))
        return OutboxPage([outbox_item()], "1.ob_1", has_more=True)

    def replay(self, row_id: str, _once: Once | None = None, /) -> OutboxItem:
        return self._act(row_id, "ready")

    def discard(
        self, row_id: str, reason: str, _once: Once | None = None, /
    ) -> OutboxItem:
        self.asked.append((reason,))
        return self._act(row_id, "discarded")

    def replay_many(
        self,
        query: OutboxQuery,
        limit: int,
        per_second: float,
        _once: Once | None = None,
        /,
    ) -> Replayed:
        self.asked.append((query, limit, per_second))
        return Replayed(1, 0, 1000, ["ob_1"])

    def discard_many(
        self, query: OutboxQuery, limit: int, reason: str, _once: Once | None = None, /
    ) -> Discarded:
        self.asked.append((query, limit, reason))
        return Discarded(1, 0, ["ob_1"])

    def _act(self, row_id: str, state: str) -> OutboxItem:
        if row_id != "ob_1":
            raise NotFound
        return msgspec.structs.replace(outbox_item(), state=state)


def outbox_item() -> OutboxItem:
    """Return the dead row that `MemoryOutbox` knows."""
    nothing = dict.fromkeys(
        ("holder", "expires_at", "operation_id", "parent_id", "request_id")
    )
    times = dict.fromkeys(("due_at", "next_at", "created_at", "updated_at"), 1)
    counts = {"attempts": 5, "sends": 5, "deaths": 0}
    return msgspec.convert(
        {
            **nothing, **times, **counts,
            "id": "ob_1", "kind": "task", "name": "tasks.profile.warm_user_cache",
            "lane": "sync", "state": "dead", "last_error": "WeChatBusy -1",
            "subject_id": "u_one",
        },
        OutboxItem,
    )  # fmt: skip


@dataclass
class Overview(Generic[T]):
    """A view with one answer; ``pages`` are those it was asked for."""

    answer: T
    pages: Pages

    def read(self, cursor: str | None, limit: int) -> T:
        self.pages.append((cursor, limit))
        return self.answer


QUEUES = Queues([], None, has_more=False, away=["redis"])
SCHEDULE = Schedule([], None, has_more=False)


@dataclass
class MemoryTimeline:
    """Knows one id; ``pages`` are those it was asked for."""

    pages: Pages

    def read(
        self, name: str, cursor: str | None = None, limit: int | None = None
    ) -> TimelinePage:
        self.pages.append((cursor, limit))
        if name != "ob_1.2":
            raise NotFound
        entry = Entry(1, "task", "ob_1", "accepted", {})
        return TimelinePage(
            name, [entry], None, has_more=False, truncated=False, away=[]
        )


class MemoryKeys:
    """Resets the key of one user."""

    def reset(
        self, user_id: str, _deadline: Deadline, _once: Once | None = None, /
    ) -> KeyReset:
        if user_id != "u_one":
            raise NotFound
        return KeyReset(user_id, "reset")


@dataclass
class MemoryAccounts:
    """Knows one user, by the name ``u_one``; remembers what was done and why."""

    acts: list[tuple[str, str]] = field(default_factory=list)

    def read(self, name: str) -> Account:
        self._known(name)
        lists: dict[str, list[object]] = {
            field: []
            for field in Account.__struct_fields__
            if field not in {"user", "app_id", "standing"}
        }
        standing = StandingSeen(2, 1000, "allow", None)
        return Account(Profile(name), "wx", standing, **lists)  # type: ignore[arg-type] # empty lists

    def ban(self, name: str, reason: str, _once: Once | None = None, /) -> Acted:
        return self._act(name, "ban", reason)

    def unban(self, name: str, reason: str, _once: Once | None = None, /) -> Acted:
        return self._act(name, "unban", reason)

    def logout(self, name: str, reason: str, _once: Once | None = None, /) -> Acted:
        return self._act(name, "logout", reason)

    def _act(self, name: str, act: str, reason: str) -> Acted:
        self._known(name)
        self.acts.append((act, reason))
        return Acted(name, act == "ban", 1, 2)

    def _known(self, name: str) -> None:
        if name != "u_one":
            raise NotFound


def memory_support(
    outbox: MemoryOutbox, accounts: MemoryAccounts, risk: MemoryRisk, pages: Pages
) -> Support:
    """Return the support view around what a test looks into."""
    return Support(
        outbox=outbox,
        queues=Overview(QUEUES, pages),
        schedule=Overview(SCHEDULE, pages),
        timeline=MemoryTimeline(pages),
        keys=MemoryKeys(),
        accounts=accounts,
        risk=risk,
    )
