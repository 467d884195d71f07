"""The relay in drills: ours, knowing the drills' tasks, with sabotage."""

from __future__ import annotations

from tests.faults import drill_tasks, sabotage
from workers.relay import main

__all__ = ["drill_tasks"]

if __name__ == "__main__":
    sabotage.apply()
    main()
