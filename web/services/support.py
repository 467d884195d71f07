"""What only people on the internal listener ask for; a part of the roster.

Views see the protocols, so that tests can serve them from memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from config.clock import Deadline
    from models.account_acts import Acted
    from models.accounts import Account
    from models.idempotency import Once
    from models.outbox_item import OutboxItem
    from web.services.key_reset import KeyReset
    from web.services.outbox_shapes import (
        Discarded,
        OutboxPage,
        OutboxQuery,
        Replayed,
    )
    from web.services.queues import Queues
    from web.services.risk import Choice
    from web.services.risk_shapes import LimitsView, RiskChanged, RiskView
    from web.services.schedule import Schedule
    from web.services.timeline import TimelinePage


class OutboxDesk(Protocol):
    """The outbox as people use it."""

    def page(self, query: OutboxQuery, cursor: str | None, limit: int) -> OutboxPage:
        """Return one page of the rows meant."""

    def replay(self, row_id: str, once: Once | None = None) -> OutboxItem:
        """Make a dead row ready again."""

    def discard(self, row_id: str, reason: str, once: Once | None = None) -> OutboxItem:
        """Give up a row that is not done."""

    def replay_many(
        self,
        query: OutboxQuery,
        limit: int,
        per_second: float,
        once: Once | None = None,
    ) -> Replayed:
        """Make dead rows ready again at a rate."""

    def discard_many(
        self, query: OutboxQuery, limit: int, reason: str, once: Once | None = None
    ) -> Discarded:
        """Give up rows that are not done."""


class KeyDesk(Protocol):
    """Session keys as support handles them."""

    def reset(
        self, name: str, deadline: Deadline, once: Once | None = None, /
    ) -> KeyReset:
        """Have WeChat replace the user's key."""


class QueueView(Protocol):
    """How much waits in each lane."""

    def read(self, cursor: str | None, limit: int) -> Queues:
        """Return a page of the lanes as far as they can be known."""


class ScheduleView(Protocol):
    """What the clock did and does next."""

    def read(self, cursor: str | None, limit: int) -> Schedule:
        """Return a page of the jobs."""


class Timelines(Protocol):
    """What happened around an id."""

    def read(
        self, name: str, cursor: str | None = None, limit: int | None = None
    ) -> TimelinePage:
        """Return the timeline of any id, or a page of it."""


class AccountDesk(Protocol):
    """Accounts of users, named by id, support code or openid; `NotFound`."""

    def read(self, name: str) -> Account:
        """Return what is known of a user."""

    def ban(self, name: str, reason: str, once: Once | None = None) -> Acted:
        """Shut a user out."""

    def unban(self, name: str, reason: str, once: Once | None = None) -> Acted:
        """Let a user in again."""

    def logout(self, name: str, reason: str, once: Once | None = None) -> Acted:
        """End every session of a user."""


class Risk(Protocol):
    """Decisions of the behaviour rules, and a person's say over them."""

    def explain(self, name: str) -> RiskView:
        """Return everything about a user or device."""

    def clear(self, name: str, reason: str, once: Once | None = None) -> RiskChanged:
        """Void the marks."""

    def override(
        self, name: str, choice: Choice, once: Once | None = None
    ) -> RiskChanged:
        """Choose an action over the rules."""

    def limits(self, most: int) -> LimitsView:
        """Return the limits in force, and the ``most`` refused."""


@dataclass(frozen=True, slots=True)
class Support:
    """What only people on the internal listener ask for."""

    outbox: OutboxDesk
    queues: QueueView
    schedule: ScheduleView
    timeline: Timelines
    keys: KeyDesk
    accounts: AccountDesk
    risk: Risk
