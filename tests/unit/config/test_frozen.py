"""Who counts as frozen: only a process that gave signs and gives none any more."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from config.dev.frozen import Sign


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of a process; the last one with the name has left it."""
    path = tmp_path / "worker.alive"
    path.touch()
    return path


def touch(path: Path, second: int) -> None:
    """Touch it at a wall clock's second, be it in the past or in the future."""
    os.utime(path, (second, second))


def begin(path: Path) -> Sign:
    """Return the sign of a process that has just started."""
    return Sign(path, path.stat().st_mtime_ns)


def test_a_process_that_gave_no_sign_yet_is_not_judged(path: Path) -> None:
    sign = begin(path)

    assert [sign.look() for _ in range(100)] == [0] * 100


def test_looks_without_news_are_counted_after_the_first_sign(path: Path) -> None:
    sign = begin(path)
    touch(path, 1000)

    assert [sign.look() for _ in range(4)] == [0, 1, 2, 3]
    touch(path, 1005)
    assert [sign.look() for _ in range(2)] == [0, 1]


def test_a_clock_that_was_set_back_or_far_ahead_silences_nobody(path: Path) -> None:
    sign = begin(path)
    for second in (9_000, 10, 900_000_000):
        touch(path, second)
        assert [sign.look() for _ in range(2)] == [0, 1]


def test_a_file_that_somebody_removed_is_no_silence(path: Path) -> None:
    sign = begin(path)
    touch(path, 1000)
    sign.look()
    path.unlink()

    assert [sign.look() for _ in range(100)] == [0] * 100
