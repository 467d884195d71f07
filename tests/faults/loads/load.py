"""Threads that act at a steady rate until told to stop, and what they saw.

The actions are in the neighbours: `patches`, `logins`. A slow system makes the load
slower, never larger: each thread waits for its answer.
"""

from __future__ import annotations

import statistics
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, Self

from config.clock import monotonic

if TYPE_CHECKING:
    from types import TracebackType


@dataclass(frozen=True, slots=True)
class Seen:
    """One answer: its status (0 when none came), reason and seconds."""

    status: int
    reason: str
    seconds: float
    at: float
    told_wait: bool = False


class Action(Protocol):
    """One request of a load."""

    def __call__(self, thread: int) -> Seen:
        """Act once as the user of ``thread``; never raises."""


@dataclass(slots=True)
class Tally:
    """What a load saw."""

    seen: list[Seen] = field(default_factory=list)

    @property
    def accepted(self) -> int:
        """How many were answered 200."""
        return sum(one.status == 200 for one in self.seen)

    @property
    def share(self) -> float:
        """The share of accepted requests in per cent."""
        return 100 * self.accepted / max(1, len(self.seen))

    @property
    def p99_ms(self) -> float:
        """The 99th percentile of all answers in milliseconds."""
        return 1000 * quantile([one.seconds for one in self.seen], 99)

    @property
    def p50_ms(self) -> float:
        """The middle of all answers in milliseconds."""
        return 1000 * quantile([one.seconds for one in self.seen], 50)

    @property
    def slowest_s(self) -> float:
        """The slowest answer in seconds."""
        return max((one.seconds for one in self.seen), default=0.0)

    def refusals(self) -> dict[str, int]:
        """Count everything that was not accepted, by status and reason."""
        counts: dict[str, int] = {}
        for one in self.seen:
            if one.status != 200:
                name = f"{one.status} {one.reason}".strip()
                counts[name] = counts.get(name, 0) + 1
        return counts

    def since(self, moment: float) -> Tally:
        """Return what was seen after ``moment`` of the monotonic clock."""
        return Tally([one for one in self.seen if one.at >= moment])


def quantile(values: list[float], per_cent: int) -> float:
    """Return a percentile; the largest value of a few, 0 of none."""
    if len(values) < 2:
        return max(values, default=0.0)
    return statistics.quantiles(values, n=100, method="inclusive")[per_cent - 1]


class Load:
    """Runs an action on ``threads`` threads, ``rate`` times a second together."""

    def __init__(self, action: Action, *, rate: float, threads: int = 4) -> None:
        self.tally = Tally()
        self._action = action
        self._pause_s = threads / rate
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(number,), daemon=True)
            for number in range(threads)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(60)

    def _run(self, number: int) -> None:
        due = monotonic() + self._pause_s * number / len(self._threads)
        while not self._stopping.wait(max(0.0, due - monotonic())):
            self.tally.seen.append(self._action(number))
            due = max(due + self._pause_s, monotonic())
