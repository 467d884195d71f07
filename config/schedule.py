"""The whole clock of the house in one table; read by beat and by whoever it asks.

Beat only asks what is due (`workers/beat.py`); `tasks/schedule.py` answers with the
slots of `models/schedule.py`, so any number of beats may run.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

ASK = "tasks.schedule.take_due_slots"
# How late a run may begin because nobody asked sooner; a question costs one SELECT.
ASK_EVERY_S = 15.0


class CatchUp(StrEnum):
    """What becomes of slots that came due while nobody looked."""

    ONCE = "once"  # the newest runs, the older ones are recorded as missed
    EACH = "each"  # every one runs, up to a bound
    SKIP = "skip"  # one that is later than `late_s` is recorded as missed


class Job(NamedTuple):
    """One entry: ``task`` runs for each slot, every ``every_s`` seconds.

    Slots lie on multiples of ``every_s`` since the epoch, by the database's clock.
    """

    name: str
    task: str
    every_s: int
    catch_up: CatchUp
    late_s: int = 0

    @property
    def ask_every_s(self) -> float:
        """How often beat asks; twice a slot, so that a late question skips none."""
        return min(self.every_s / 2, ASK_EVERY_S)


SCHEDULE: tuple[Job, ...] = (
    Job(
        name="refresh_access_tokens",
        task="tasks.maintenance.refresh_access_tokens",
        every_s=60,
        # One run renews whatever is near its end, however long nobody looked.
        catch_up=CatchUp.ONCE,
    ),
    Job(
        name="sweep_journals",
        task="tasks.maintenance.sweep_journals",
        every_s=15,
        # A look at the present; nobody can look at a moment that is over.
        catch_up=CatchUp.ONCE,
    ),
    Job(
        name="settle_notifications",
        task="tasks.notification_sweep.settle_notifications",
        every_s=30,
        # What was left over is found by the next run.
        catch_up=CatchUp.ONCE,
    ),
    Job(
        name="rotate_jwt_key",
        task="tasks.maintenance.rotate_jwt_key",
        every_s=3600,
        # Whether the key is old is asked of its file, not of the slot.
        catch_up=CatchUp.ONCE,
    ),
    Job(
        name="settle_paid_calls",
        task="tasks.paid_calls.settle_paid_calls",
        every_s=60,
        # What was left over is found by the next run.
        catch_up=CatchUp.ONCE,
    ),
    Job(
        name="judge_behaviour",
        task="tasks.risk.judge_behaviour",
        every_s=30,
        # The figures are those of now; what was not judged has faded meanwhile.
        catch_up=CatchUp.ONCE,
    ),
    Job(
        name="apply_retention",
        task="tasks.retention.apply_retention",
        every_s=3600,
        # Old rows can wait for the next hour; the rush after an outage comes first.
        catch_up=CatchUp.SKIP,
        late_s=900,
    ),
)

JOBS: dict[str, Job] = {job.name: job for job in SCHEDULE}


def beat_schedule() -> dict[str, dict[str, object]]:
    """Return the table in celery beat's own form: one question for each job."""
    return {
        job.name: {"task": ASK, "schedule": job.ask_every_s, "args": [job.name]}
        for job in JOBS.values()
    }
