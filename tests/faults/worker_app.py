"""The workers' entry point in drills: ours, with the drills' tasks and sabotage."""

from __future__ import annotations

import os

from tests.faults import drill_tasks, sabotage
from tests.faults.task_names import IMPATIENCE_S
from workers.celery import app

__all__ = ["app", "drill_tasks"]

if seconds := os.environ.get(IMPATIENCE_S):
    # As when another app shares the broker: the shortest time of all holds for all.
    app.conf.broker_transport_options["visibility_timeout"] = int(seconds)
sabotage.apply()
