"""Turns of processes that share nothing but memory."""

from __future__ import annotations

import os

from web.server.turns import Turns


def test_a_turn_is_one_processes_until_its_time_is_over() -> None:
    turns = Turns()
    child = os.fork()
    if not child:
        os._exit(0 if turns.take(60) else 1)

    assert os.waitpid(child, 0)[1] == 0
    assert not turns.take(60)
    assert turns.take(0)
    assert not turns.take(60)
