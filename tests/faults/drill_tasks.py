"""Tasks whose effect can be counted, that take long, or that kill their process.

Loaded by the drills' own entry modules only: importing it adds the tasks to the app.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from sqlalchemy import text

from config.clock import monotonic, now_ms, sleep
from config.schedule import JOBS, CatchUp, Job
from tasks.app import app
from tasks.base import OutboxTask
from tasks.schedule import ScheduledTask, SlotWork
from tasks.work import Work
from tests.faults.task_names import (
    BULK,
    COUNT,
    HOLD,
    LONG,
    POISON,
    RACE,
    SHORT_JOBS,
    SHORT_S,
    SLOT,
    URGENT,
)

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

# Without the variable, as in every other drill, there are none.
for _number in range(int(os.environ.get(SHORT_JOBS, "0"))):
    _job = f"drill_{_number}"
    JOBS[_job] = Job(_job, SLOT, SHORT_S, CatchUp.EACH)

INSERT = text(
    "INSERT INTO drill_effects (outbox_id, what, attempt, at) "
    "VALUES (:outbox_id, :what, :attempt, :at)"
)


def write_effect(session: Session, work: Work, what: str = "effect") -> None:
    """Leave one row of evidence in the transaction of the work."""
    row = {
        "outbox_id": work.outbox_id,
        "what": what,
        "attempt": work.attempts,
        "at": now_ms(),
    }
    session.execute(INSERT, row)


def count(work: Work) -> None:
    """Work for the milliseconds the row asks for, then have one countable effect."""
    sleep(int(work.payload or 0) / 1000)
    with work.effect() as uow:
        write_effect(uow.session, work)


for _name in (COUNT, URGENT, BULK):
    app.task(base=OutboxTask, name=_name)(count)


@app.task(base=OutboxTask, name=POISON)
def poison(work: Work) -> None:
    """Die with the whole process, as bad native code would."""
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(base=OutboxTask, name=HOLD)
def hold(work: Work) -> None:
    """Keep silent for the seconds the row asks for, the first attempt only.

    Later attempts are quick, so a first one that was frozen comes back as a late copy.
    """
    sleep(int(work.payload or 0) if work.attempts == 1 else 1)
    with work.step() as uow:
        write_effect(uow.session, work, "step")
    with work.effect() as uow:
        write_effect(uow.session, work)


@app.task(base=OutboxTask, name=RACE)
def race(work: Work) -> None:
    """Write a step as soon as a newer attempt runs; the newer one takes its time."""
    until = monotonic() + int(work.payload or 0)
    while work.attempts == 1 and newest_attempt(work) == 1 and monotonic() < until:
        sleep(0.05)
    if work.attempts > 1:
        sleep(1.5)
    with work.step() as uow:
        write_effect(uow.session, work, "step")
    with work.effect() as uow:
        write_effect(uow.session, work)


def newest_attempt(work: Work) -> int:
    """Return how often the row has been begun."""
    with work.resources.database.read() as session:
        query = text("SELECT attempts FROM outbox WHERE id = :id")
        return int(session.execute(query, {"id": work.outbox_id}).scalar_one())


@app.task(base=OutboxTask, name=LONG)
def long(work: Work) -> None:
    """Work for the seconds the row asks for, and say so at checkpoints."""
    seconds = int(work.payload or 0)
    for number in range(seconds * 5):
        work.checkpoint(number, seconds * 5)
        sleep(0.2)
    with work.effect() as uow:
        write_effect(uow.session, work)


@app.task(base=ScheduledTask, name=SLOT)
def slot(work: SlotWork) -> None:
    """Have one countable effect for one slot."""
    with work.effect() as uow:
        write_effect(uow.session, work)
