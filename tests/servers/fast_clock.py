"""The house's Celery app with one more job, due each second: `celery -A` this.

Slots of a minute would make drills of the clock last for hours.
"""

from config import schedule
from config.schedule import CatchUp, Job

EVERY_SECOND = Job("every_second", "tasks.maintenance.sweep_journals", 1, CatchUp.EACH)
# Before anybody reads the table.
schedule.JOBS[EVERY_SECOND.name] = EVERY_SECOND

from workers.celery import app  # noqa: E402 - must come after the job

__all__ = ["app"]
