"""`run/ready` and the pid files never speak of a process that has ended."""

import os
import signal

import pytest

from tests.integration.runner import alive, polite, python, runs_in

# Holds the pipe of its output open, as gunicorn's children do: no end of the output
# tells of its parent's end.
FAMILY = """
import subprocess, sys, time
p = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(99)"])
open({child!r}, "w").write(str(p.pid))
time.sleep(99)
"""
# Healthy, as a relay is, from its first sign of life on.
SHY = """
import time
from pathlib import Path
print("up", flush=True)
while not Path({leave!r}).exists(): time.sleep(0.02)
Path({sign!r}).touch()
time.sleep(99)
"""
WITNESS = """
import signal, sys, time
from pathlib import Path
def finish(*_):
    Path({seen!r}).write_text(str(Path({mark!r}).exists()))
    sys.exit(0)
signal.signal(signal.SIGTERM, finish)
print("up", flush=True)
while True: time.sleep(0.05)
"""


@pytest.fixture
def start(tmp_path):
    with runs_in(tmp_path) as begin:
        yield begin


def test_an_end_takes_mark_and_pid_away_without_a_look(start, tmp_path):
    child = tmp_path / "child.pid"
    code = FAMILY.format(child=str(child))
    run = start({"alpha": python(code, tmp_path, "family")}, slow_ticks=True)
    run.until(run.said("slow"))
    run.until(lambda: child.exists() and child.read_text())

    os.kill(run.pid("alpha"), signal.SIGKILL)

    run.until(lambda: not run.ready() and not run.pid("alpha"))
    run.until(lambda: not alive(int(child.read_text())))


def test_the_mark_comes_back_when_all_are_healthy_and_not_before(start, tmp_path):
    leave = tmp_path / "leave"
    leave.touch()
    sign = tmp_path / "var" / "run" / "relay.alive"
    code = SHY.format(leave=str(leave), sign=str(sign))
    run = start(
        {
            "relay": python(code, tmp_path, "relay"),
            "beta": polite(tmp_path, "beta", finish_s=0.0),
        }
    )
    run.until(run.ready)
    leave.unlink()
    log = run.var / "log/relay.log"

    os.kill(run.pid("relay"), signal.SIGKILL)
    run.until(lambda: not run.ready())
    run.until(lambda: log.read_text().count("up") == 2)
    os.kill(run.pid("beta"), signal.SIGKILL)
    run.until(run.said("beta ended"))

    # Both run again by now; one has not shown that it works.
    run.until(lambda: run.pid("relay") and run.pid("beta"))
    assert not run.ready()
    leave.touch()
    run.until(run.ready)
    run.until(run.said("all healthy again"))


def test_the_mark_is_away_while_redis_is(start, tmp_path):
    run = start({"alpha": polite(tmp_path, "alpha", finish_s=0.0)})
    run.until(run.ready)
    mark, first = tmp_path / "var" / "run" / "ready", run.pid("redis")
    left = mark.stat().st_mtime_ns

    os.kill(first, signal.SIGKILL)

    # Redis may be back before anybody looks: the mark is another one then.
    run.until(lambda: run.pid("redis") not in {0, first})
    run.until(lambda: run.ready() and mark.stat().st_mtime_ns > left)


def test_a_runner_that_is_killed_leaves_no_mark_for_those_who_still_end(
    start, tmp_path
):
    seen = tmp_path / "seen"
    mark = tmp_path / "var" / "run" / "ready"
    code = WITNESS.format(seen=str(seen), mark=str(mark))
    run = start({"alpha": python(code, tmp_path, "alpha")})
    run.until(run.ready)
    run.until(lambda: "up" in (run.var / "log/alpha.log").read_text())

    run.stop(signal.SIGKILL)

    assert run.until(lambda: seen.exists() and seen.read_text()) == "False"
