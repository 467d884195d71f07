"""Compares every acknowledged id with the database: lost, doubled, unknown, late.

The ledger says what was promised, the tables say what happened. Each kind of load has
its own comparison; `Verdict` adds them up.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.faults.ground import Ground
    from tests.faults.kills import Hit
    from tests.faults.ledger import Entry

# How long a login may be in Redis only: until its batch is in SQL.
WIPE_MS = 3000
SHOWN = 3
FINAL = ("done", "dead", "discarded", "cancelled")


@dataclass(slots=True)
class Verdict:
    """What became of the acknowledged ids; ``longest_s`` is from fault to finish."""

    acknowledged: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    # Logins of the moment of a wipe: only their history row is gone, as documented.
    wiped: list[str] = field(default_factory=list)
    # What the tables say of the first of the lost.
    where: list[str] = field(default_factory=list)
    # No answer came: they may have happened or not, once at most.
    unknown: int = 0
    unknown_done: int = 0
    late: int = 0
    hits: int = 0
    longest_s: float | None = None

    def take(self, entries: list[Entry], seen: Counter[str]) -> None:
        """Judge one kind of load by how often each id was seen done."""
        for entry in entries:
            times = seen[entry.id]
            if entry.unknown:
                self.unknown += 1
                self.unknown_done += times > 0
            else:
                self.acknowledged += 1
                if times == 0:
                    self.lost.append(entry.id)
            if times > 1:
                self.doubled.append(entry.id)

    def words(self) -> str:
        """The verdict in one line."""
        longest = "-" if self.longest_s is None else f"{self.longest_s:.1f} s"
        return (
            f"acknowledged {self.acknowledged}, lost {len(self.lost)}, "
            f"doubled {len(self.doubled)}, unknown {self.unknown} "
            f"({self.unknown_done} happened), late {self.late}, "
            f"work in flight hit {self.hits}, longest recovery {longest}"
        )


def check(
    ground: Ground,
    *,
    hits: list[Hit] | None = None,
    wipes: Sequence[int] = (),
    late_after_s: float = 120,
) -> Verdict:
    """Compare the ledger with the database; call when no work is open any more."""
    verdict = Verdict()
    verdict.take(ground.ledger.read("task"), seen_tasks(ground))
    verdict.take(ground.ledger.read("patch"), seen_patches(ground, verdict))
    logins = ground.ledger.read("login")
    verdict.take(logins, seen_logins(ground, verdict))
    forgive(verdict, logins, wipes)
    verdict.where = [state_of(ground, one) for one in verdict.lost[:SHOWN]]
    if hits is not None:
        measure_recovery(ground, verdict, hits, late_after_s)
    return verdict


def state_of(ground: Ground, lost: str) -> str:
    """Return what is known of an id that was not found finished."""
    query = (
        "SELECT kind, name, state, attempts, last_error FROM outbox "
        "WHERE id = :id OR request_id = :id"
    )
    return f"{lost}: {ground.sql(query, id=lost) or 'no row'}"


def forgive(verdict: Verdict, logins: list[Entry], wipes: Sequence[int]) -> None:
    """Count logins that a wiped Redis held alone apart from what was lost."""
    at = {entry.id: entry.at for entry in logins}
    near = {
        name for name in at for wipe in wipes if -WIPE_MS <= at[name] - wipe <= WIPE_MS
    }
    verdict.wiped = [name for name in verdict.lost if name in near]
    verdict.lost = [name for name in verdict.lost if name not in near]


def seen_tasks(ground: Ground) -> Counter[str]:
    """Count effects of each row; a row that is not final has not happened."""
    effects = ground.sql(
        "SELECT e.outbox_id AS id, COUNT(*) AS n FROM drill_effects e JOIN outbox o "
        "ON o.id = e.outbox_id WHERE o.state = 'done' AND e.what = 'effect' "
        "GROUP BY e.outbox_id"
    )
    seen = Counter({row["id"]: int(row["n"]) for row in effects})
    # Set aside with its cause is a final state too: seen by people, not lost.
    for row in ground.sql("SELECT id FROM outbox WHERE state = 'dead'"):
        seen[row["id"]] += 1
    return seen


def seen_patches(ground: Ground, verdict: Verdict) -> Counter[str]:
    """Count finished event rows of each request; each has at most one task row."""
    query = (
        "SELECT request_id AS id, SUM(kind = 'event') AS events, "
        "SUM(kind = 'task') AS tasks, SUM(state IN ('ready', 'sent')) AS open "
        "FROM outbox WHERE request_id LIKE 'dr-%' GROUP BY request_id"
    )
    seen: Counter[str] = Counter()
    for row in ground.sql(query):
        seen[row["id"]] = 0 if row["open"] else max(row["events"], row["tasks"])
    told = ground.number(
        "SELECT COUNT(*) FROM user_events WHERE type = 'profile.updated'"
    )
    rows = ground.number(
        "SELECT COUNT(*) FROM outbox WHERE kind = 'event' AND name = 'profile.updated'"
    )
    if told != rows:
        verdict.doubled.append(f"{told} user events for {rows} outbox events")
    return seen


def seen_logins(ground: Ground, verdict: Verdict) -> Counter[str]:
    """Count the history rows of each session, and compare with the users' counters."""
    query = "SELECT session_id AS id, COUNT(*) AS n FROM login_events GROUP BY 1"
    seen = Counter({row["id"]: int(row["n"]) for row in ground.sql(query)})
    counted = ground.number("SELECT SUM(login_count) FROM users")
    if counted != seen.total():
        verdict.doubled.append(f"{counted} logins counted, {seen.total()} in history")
    return seen


def measure_recovery(
    ground: Ground, verdict: Verdict, hits: list[Hit], late_after_s: float
) -> None:
    """Take the time from each fault to the finish of the work it hit."""
    finished = {
        row["id"]: row["updated_at"]
        for row in ground.sql("SELECT id, updated_at, state FROM outbox")
        if row["state"] in FINAL
    }
    # Work that was hit again while it recovered counts from its last hit.
    last = {row: hit.at for hit in hits for row, _ in hit.rows}
    waits = [(finished[row] - last[row]) / 1000 for row in last if row in finished]
    verdict.hits = sum(1 for hit in hits if hit.rows)
    verdict.longest_s = max(waits, default=None)
    verdict.late = sum(wait > late_after_s for wait in waits)
