"""The house's Celery app with one slow task: `celery -A` this."""

from config.clock import monotonic, sleep
from tasks.base import OutboxTask
from tasks.work import Work
from workers.celery import app

__all__ = ["app", "take_time"]


@app.task(base=OutboxTask)
def take_time(work: Work) -> None:
    """Work for as many seconds as the payload says, in one piece."""
    end = monotonic() + float(work.payload or 0)
    while monotonic() < end:
        sleep(0.05)
