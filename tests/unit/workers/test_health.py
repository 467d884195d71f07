"""Signs of life: fresh while touched, stale or missing otherwise, never in the way."""

from __future__ import annotations

import os
from pathlib import Path

from config.clock import now_ms
from workers.health import is_fresh, touch_heartbeat


def test_a_touched_file_is_a_sign_of_life(tmp_path: Path) -> None:
    path = tmp_path / "run" / "relay.alive"

    assert not is_fresh(path)
    touch_heartbeat(path)
    assert is_fresh(path)


def test_an_old_file_is_none(tmp_path: Path) -> None:
    path = tmp_path / "worker.alive"
    touch_heartbeat(path)
    old = now_ms() / 1000 - 31
    os.utime(path, (old, old))

    assert not is_fresh(path)
    assert is_fresh(path, max_age_s=60)


def test_a_place_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")

    touch_heartbeat(blocked / "run" / "worker.alive")
