"""The runner outlives a full disk: what it cannot write down, it does without."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from config.dev.child import Child
from config.dev.log_copy import LogCopy
from config.dev.ready_mark import ReadyMark

if TYPE_CHECKING:
    from pathlib import Path


def test_a_process_is_started_though_its_pid_cannot_be_written(tmp_path: Path) -> None:
    log = LogCopy(tmp_path / "log", max_bytes=1_000)
    nowhere = tmp_path / "no folder" / "a.pid"
    child = Child("a", "exit 3", {}, pid_file=nowhere, log=log)

    pid = child.start(tmp_path)

    assert child.process is not None
    assert child.process.wait() == 3
    assert child.bury() == pid


def test_the_mark_is_left_as_soon_as_it_can_be_written(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    mark = ReadyMark(folder / "ready", lambda _: [])

    assert not mark.put_back()
    folder.mkdir()
    assert mark.put_back()
    assert (folder / "ready").exists()


def test_a_log_goes_on_though_it_cannot_be_moved_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.log"
    log = LogCopy(path, max_bytes=10)

    def no_space(_: Path) -> int:
        raise OSError(28, "no space left")

    monkeypatch.setattr("config.dev.log_copy._open_to_append", no_space)
    log.feed(b'{"event": "first, and too long"}\n')
    log.feed(b'{"event": "second"}\n')
    log.close()

    written = path.with_suffix(".log.1").read_text()
    assert "first" in written
    assert "second" in written
