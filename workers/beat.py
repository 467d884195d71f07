"""Celery's beat with a sign of life: the file is touched by the ticking itself."""

from __future__ import annotations

from typing import Any

from celery.beat import PersistentScheduler

from tasks.app import known_settings
from workers.health import heartbeat_path, touch_heartbeat


class LivingScheduler(PersistentScheduler):
    """Touches ``beat.alive`` at each tick, at most `beat_max_loop_interval` apart."""

    def tick(self, *args: Any, **kwargs: Any) -> float:  # noqa: ANN401 (Celery's own)
        """Send what is due and return the seconds until the next look."""
        touch_heartbeat(heartbeat_path(known_settings(), "beat"))
        return float(super().tick(*args, **kwargs))
