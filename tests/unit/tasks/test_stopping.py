"""A stop reaches work where it may be broken off, and nothing else."""

from __future__ import annotations

import pytest

from tasks.stopping import Stopped, Stopping


def test_work_is_broken_off_where_it_is() -> None:
    stopping = Stopping()

    with pytest.raises(Stopped), stopping.breakable():
        stopping.break_off()


def test_outside_of_work_nothing_is_raised_and_none_begins() -> None:
    stopping = Stopping()
    stopping.break_off()

    with pytest.raises(Stopped), stopping.breakable():
        pytest.fail("begun although the process ends")


def test_a_second_signal_does_not_disturb_the_handing_back() -> None:
    stopping = Stopping()
    with pytest.raises(Stopped), stopping.breakable():
        stopping.break_off()

    stopping.break_off()


def test_threads_are_stopped_at_their_next_checkpoint() -> None:
    stopping = Stopping()
    with stopping.breakable():
        stopping.check()
        stopping.ask()
        with pytest.raises(Stopped):
            stopping.check()


def test_a_stop_is_no_error_that_a_body_may_catch() -> None:
    assert not issubclass(Stopped, Exception)
