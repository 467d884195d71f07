"""The workers' entry point in drills: ours, with the drills' tasks and sabotage."""

from __future__ import annotations

from tests.faults import drill_tasks, sabotage
from workers.celery import app

__all__ = ["app", "drill_tasks"]

sabotage.apply()
