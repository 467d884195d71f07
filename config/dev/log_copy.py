"""Copy a process's output to the terminal and to its bounded file.

Files hold JSON whatever the terminal shows. The one writer of
``VAR_DIR/log/<process>.log``, so that moving a full file away is safe whatever the
number of writers behind the pipe.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from pathlib import Path

import orjson

from config.log_lines import console_renderer, time_now
from config.redaction import scrub

CONSOLE = 1


# What the terminal shows of one line of a file.
Show = Callable[[bytes], bytes]


class LogCopy:
    """The output of one process; a full disk or a stopped terminal loses lines.

    A line that is no JSON (a crash at start, a library's print) is wrapped and
    redacted, so the file is one JSON event a line.
    """

    def __init__(self, path: Path, *, max_bytes: int, show: Show = bytes) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._show = show
        self._rest = b""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = _open_to_append(path)

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes; only whole lines are written."""
        whole, end, rest = (self._rest + chunk).rpartition(b"\n")
        self._rest = rest
        if end:
            lines = [line for line in whole.split(b"\n") if line.strip()]
            self._write([self._event(line) for line in lines])

    def close(self) -> None:
        """Write what is left and close the file."""
        if self._rest:
            self.feed(b"\n")
        os.close(self._file)

    def tail(self, lines: int) -> str:
        """Return the last lines, for a complaint at the terminal."""
        text = self._path.read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def _event(self, line: bytes) -> bytes:
        if _is_event(line):
            return line + b"\n"
        event = {
            "event": scrub(line.decode(errors="replace")),
            "process": self._path.stem,
            "level": "info",
            "time": time_now(),
        }
        return orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE)

    def _write(self, events: list[bytes]) -> None:
        try:
            os.write(self._file, b"".join(events))
            if os.fstat(self._file).st_size > self._max_bytes:
                self._move_away()
        except OSError:
            pass  # a full disk must not stop the processes behind the pipe
        write_console(b"".join(map(self._show, events)))

    def _move_away(self) -> None:
        self._path.replace(self._path.with_suffix(".log.1"))
        full, self._file = self._file, _open_to_append(self._path)
        os.close(full)


def for_eyes() -> Show:
    """Return what makes a line of a file readable."""
    render = console_renderer()

    def show(line: bytes) -> bytes:
        text: bytes = render(None, "", orjson.loads(line))
        return text

    return show


def write_console(data: bytes) -> None:
    """Write to the terminal unless it is stopped or gone: then drop the lines."""
    try:
        if select.select([], [CONSOLE], [], 0)[1]:
            os.write(CONSOLE, data)
    except OSError:
        pass


def say(text: str, *, mark: str = "-- ") -> None:
    """Say something of our own to the person at the terminal."""
    write_console(f"{mark}{text}\n".encode())


def _open_to_append(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)


def _is_event(line: bytes) -> bool:
    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        return False
