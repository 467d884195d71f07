"""The rule of silence: who does nothing while work waits, and only that one."""

from __future__ import annotations

import pytest

from workers.watchdog import Activity, Silence

PATIENCE_S = 40.0
IDLE = Activity(received=7, active=0)


@pytest.fixture
def silence() -> Silence:
    """A worker that has received seven tasks and was heard at second 0."""
    rule = Silence(PATIENCE_S)
    assert not rule.lasts_too_long(0, IDLE, waiting=1)
    return rule


def test_silence_while_work_waits_lasts_too_long(silence: Silence) -> None:
    judged = [silence.lasts_too_long(t, IDLE, waiting=3) for t in range(5, 50, 5)]

    # Counted from second 5, the first look that heard nothing.
    assert judged == [False] * 8 + [True]


def test_an_idle_worker_may_be_silent_for_ever(silence: Silence) -> None:
    assert not any(silence.lasts_too_long(t, IDLE, 0) for t in range(0, 9000, 5))


def test_a_long_task_is_no_silence(silence: Silence) -> None:
    busy = Activity(received=7, active=1)

    assert not any(silence.lasts_too_long(t, busy, 9) for t in range(0, 9000, 5))


def test_each_task_received_starts_anew(silence: Silence) -> None:
    for second in range(0, 9000, 30):
        heard = Activity(received=second, active=0)
        assert not silence.lasts_too_long(second, heard, waiting=9)


def test_a_queue_seen_empty_starts_anew(silence: Silence) -> None:
    for second in range(0, 9000, 30):
        waiting = int(second % 60 == 0)
        assert not silence.lasts_too_long(second, IDLE, waiting)


def test_what_nobody_could_see_is_no_silence(silence: Silence) -> None:
    silence.lasts_too_long(5, IDLE, 1)
    silence.forget()

    assert not silence.lasts_too_long(500, IDLE, 1)
    assert silence.lasts_too_long(540, IDLE, 1)
