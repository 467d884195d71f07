"""What a drill is: a promise, a way to break the system, figures, and a pass rule."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.faults.checker import Verdict
    from tests.faults.ground import Ground

# A few seconds of some drills; all of them in one run; the promises' own counts where
# that run has no time for them; minutes of half load.
Size = Literal["smoke", "full", "scale", "soak"]
# Promises are kept in seconds here where a drill need not wait for minutes.
HASTE = {
    "RESEND_AFTER_S": "2",
    "TASK_LEASE_S": "5",
    # Half of the lease at most.
    "NOTIFICATION_CALL_S": "2.5",
    "LOST_RETRY_DELAY_S": "1",
    "VISIBILITY_TIMEOUT_S": "61",
}


@dataclass(slots=True)
class Findings:
    """What a drill measured, and each rule of its promise that did not hold."""

    figures: dict[str, object] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    verdict: Verdict | None = None
    table: str = ""

    def expect(self, holds: object, words: str) -> None:
        """Note ``words`` as a broken rule unless ``holds``."""
        if not holds:
            self.broken.append(words)

    def judge(self, verdict: Verdict, *, late_after_s: float | None = None) -> None:
        """Take over the checker's verdict: nothing lost, nothing doubled."""
        self.verdict = verdict
        self.expect(verdict.lost == [], f"lost {len(verdict.lost)}")
        self.notes += verdict.where
        self.expect(verdict.doubled == [], f"doubled {len(verdict.doubled)}")
        if late_after_s is not None and verdict.longest_s is not None:
            slow = verdict.longest_s > late_after_s
            self.expect(not slow, f"recovery took {verdict.longest_s:.1f} s")


@dataclass(frozen=True, slots=True)
class Drill:
    """One promise put to the test; ``run`` gets the counts of the chosen size."""

    name: str
    promise: str
    does: str
    rule: str
    run: Callable[[Ground, Findings, Mapping[str, int]], None]
    full: Mapping[str, int]
    smoke: Mapping[str, int] | None = None
    # What the promise asks where ``full`` does less, to be done in time.
    at_scale: Mapping[str, int] | None = None
    processes: tuple[str, ...] = ("wechat", "web", "relay", "worker")
    settings: Mapping[str, str] = field(default_factory=dict)
    redis: Mapping[str, str] = field(default_factory=dict)
    # Which of "store", "broker" and "sql" are reached through a proxy; it costs time.
    links: tuple[str, ...] = ()
    own_sql: bool = False
    # It measures how fast the product is: neighbours would be measured along.
    alone: bool = False

    def counts(self, size: Size) -> Mapping[str, int] | None:
        """How much it does in a run of this size; None when it has no part in it."""
        if size == "smoke":
            return self.smoke
        return self.at_scale if size == "scale" else self.full

    @property
    def setting_words(self) -> str:
        """The settings it runs with, as the report tells them."""
        if not self.settings:
            return "production defaults"
        return " ".join(f"{name}={value}" for name, value in self.settings.items())
