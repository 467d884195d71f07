"""The health check of a container: it ends what has frozen, and nobody else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from config.clock import now_ms
from deploy import healthcheck
from deploy.healthcheck import FROZEN_LOOKS, children_of_init, main


@pytest.fixture
def stopped() -> subprocess.Popen[bytes]:
    """A process of a container, frozen."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    process.send_signal(signal.SIGSTOP)
    return process


@pytest.fixture
def proc(
    tmp_path: Path, stopped: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The table of processes as the inside of the container shows it."""
    folder = tmp_path / "proc"
    parents = {1: 0, stopped.pid: 1, 999_990: stopped.pid, 999_991: 0}
    for pid, parent in parents.items():
        (folder / str(pid)).mkdir(parents=True)
        (folder / str(pid) / "stat").write_text(f"{pid} (a ) b) S {parent} 1 1 0")
    (folder / "meminfo").write_text("")
    # An engine cannot run here; the folder is all the check knows of its container.
    monkeypatch.setattr(healthcheck, "PROC", folder)
    return folder


def test_only_the_service_is_the_child_of_init(
    proc: Path, stopped: subprocess.Popen[bytes]
) -> None:
    assert children_of_init(proc) == [stopped.pid]
    stopped.kill()
    stopped.wait()


@pytest.mark.usefixtures("proc")
def test_looks_without_a_sign_end_the_service_and_one_sign_starts_anew(
    tmp_path: Path, stopped: subprocess.Popen[bytes]
) -> None:
    sign = tmp_path / "worker.alive"
    sign.touch()
    address = f"file://{sign}"

    assert [main(address) for _ in range(FROZEN_LOOKS)] == [0] * FROZEN_LOOKS
    later = now_ms() / 1000 + 5
    os.utime(sign, (later, later))
    assert [main(address) for _ in range(FROZEN_LOOKS)] == [0] * FROZEN_LOOKS
    assert stopped.poll() is None

    assert main(address) == 1
    assert stopped.wait(60) == -signal.SIGKILL
    assert not sign.exists()


@pytest.mark.usefixtures("proc")
def test_a_missing_file_is_unhealthy_and_ends_nobody(
    tmp_path: Path, stopped: subprocess.Popen[bytes]
) -> None:
    address = f"file://{tmp_path / 'worker.alive'}"

    assert [main(address) for _ in range(FROZEN_LOOKS + 2)] == [1] * (FROZEN_LOOKS + 2)
    assert stopped.poll() is None
    stopped.kill()
    stopped.wait()


def test_an_old_file_seen_for_the_first_time_is_unhealthy_only(tmp_path: Path) -> None:
    sign = tmp_path / "worker.alive"
    sign.touch()
    os.utime(sign, (1000, 1000))

    assert main(f"file://{sign}") == 1
