"""A bound deadline belongs to who bound it, under gevent and in threads alike."""

from __future__ import annotations

import subprocess
import sys
import threading

from config.clock import Deadline
from config.patience import bind_deadline, bound_deadline, under, unhurried

# gevent patches a whole process, so it gets one of its own.
GREENLETS = """
from gevent import monkey
monkey.patch_all()
import threading
import gevent
from gevent.pool import Pool
from config.clock import Deadline
from config.patience import bind_deadline, bound_deadline

seen = []

def request(number):
    bind_deadline(Deadline(number))
    gevent.sleep(0.01)
    seen.append(bound_deadline() == Deadline(number))
    helper = threading.Thread(target=lambda: seen.append(bound_deadline() is None))
    helper.start()
    helper.join()
    gevent.spawn(lambda: seen.append(bound_deadline() is None)).join()
    seen.append(bound_deadline() == Deadline(number))

pool = Pool()
for number in range(20):
    pool.spawn(request, number)
pool.join()
assert len(seen) == 80 and all(seen), seen
assert bound_deadline() is None
"""


def test_each_greenlet_has_its_own_and_hands_none_on() -> None:
    subprocess.run([sys.executable, "-c", GREENLETS], check=True, timeout=60)


def test_a_thread_begins_without() -> None:
    seen: list[Deadline | None] = []
    with under(Deadline(1)):
        thread = threading.Thread(target=lambda: seen.append(bound_deadline()))
        thread.start()
        thread.join()

    assert seen == [None]


def test_the_one_from_before_comes_back() -> None:
    bind_deadline(Deadline(1))
    with under(Deadline(2)):
        assert bound_deadline() == Deadline(2)
        with unhurried():
            assert bound_deadline() is None
        assert bound_deadline() == Deadline(2)
    assert bound_deadline() == Deadline(1)
    bind_deadline(None)


def test_the_earlier_of_two_deadlines_counts() -> None:
    assert Deadline(1).earlier(Deadline(2)) == Deadline(1)
    assert Deadline(2).earlier(Deadline(1)) == Deadline(1)
    assert Deadline(2).earlier(None) == Deadline(2)
