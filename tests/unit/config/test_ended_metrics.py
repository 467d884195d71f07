"""Counters outlive their processes, and their files do not."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import sys
from typing import TYPE_CHECKING

from prometheus_client.mmap_dict import MmapedDict, mmap_key

from config.ended_metrics import sweep_ended
from config.metrics.files import HOST

if TYPE_CHECKING:
    from pathlib import Path

KEY = mmap_key("tasks", "tasks_total", ["task"], ["a"], "Help.")


def ended_pid() -> int:
    """Return the id of a process that is no more."""
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        return child.pid


def write(path: Path, value: float) -> None:
    """Leave a file as a process does."""
    values = MmapedDict(str(path))
    values.write_value(KEY, value, 0.0)
    values.close()


def read(path: Path) -> float:
    """Return the value in a file."""
    ((_, value, *_),) = MmapedDict.read_all_values_from_file(path)
    return float(value)


def test_a_thousand_children_leave_one_file(tmp_path: Path) -> None:
    own = tmp_path / f"counter_{HOST}-{os.getpid()}.db"
    write(own, 5)
    for _ in range(20):
        write(tmp_path / f"counter_{HOST}-{ended_pid()}.db", 3)
        sweep_ended(tmp_path)

    left = sorted(path.name for path in tmp_path.glob("*.db"))
    assert left == [own.name, f"counter_{HOST}.ended.db"]
    assert read(own) == 5
    assert read(tmp_path / left[1]) == 60


def test_gauges_of_the_dead_go_and_other_hosts_are_left_alone(tmp_path: Path) -> None:
    pid = ended_pid()
    write(tmp_path / f"gauge_livemax_{HOST}-{pid}.db", 1)
    write(tmp_path / f"counter_elsewhere-{pid}.db", 1)

    sweep_ended(tmp_path)

    assert [path.name for path in tmp_path.glob("*.db")] == [
        f"counter_elsewhere-{pid}.db"
    ]


def test_a_torn_file_does_not_stop_the_sweep(tmp_path: Path) -> None:
    torn, whole = ended_pid(), ended_pid()
    # It claims 255 bytes in use, and a first name longer than those.
    torn_bytes = struct.pack("iii", 255, 0, 10_000) + bytes(300)
    (tmp_path / f"counter_{HOST}-{torn}.db").write_bytes(torn_bytes)
    (tmp_path / f"counter_{HOST}-{ended_pid()}.db").touch()
    write(tmp_path / f"counter_{HOST}-{whole}.db", 2)

    sweep_ended(tmp_path)

    assert read(tmp_path / f"counter_{HOST}.ended.db") == 2


def test_two_do_not_sweep_at_once(tmp_path: Path) -> None:
    write(tmp_path / f"counter_{HOST}-{ended_pid()}.db", 2)
    with (tmp_path / "ended.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sweep_ended(tmp_path)
        assert not (tmp_path / f"counter_{HOST}.ended.db").exists()

    sweep_ended(tmp_path)
    assert read(tmp_path / f"counter_{HOST}.ended.db") == 2


def test_a_folder_that_is_gone_is_nobodys_fault(tmp_path: Path) -> None:
    sweep_ended(tmp_path / "nowhere")
