"""Copy a process's output to the console and to its bounded file.

The one writer of ``VAR_DIR/log/<process>.log``, so that moving a full file away is
safe whatever the number of writers behind the pipe.
"""

from __future__ import annotations

import os
import select
from datetime import UTC, datetime
from pathlib import Path

import orjson

from config.clock import now_ms
from config.redaction import scrub

CONSOLE = 1


class LogCopy:
    """The output of one process; a full disk or a stopped terminal loses lines.

    With ``as_json`` every line that is no JSON (a crash at start, a library's
    print) is wrapped and redacted, so the file is one JSON event a line.
    """

    def __init__(self, path: Path, *, max_bytes: int, as_json: bool) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._as_json = as_json
        self._rest = b""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = _open_to_append(path)

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes; only whole lines are written."""
        whole, end, rest = (self._rest + chunk).rpartition(b"\n")
        self._rest = rest
        if end:
            self._write(b"".join(self._line(line) for line in whole.split(b"\n")))

    def close(self) -> None:
        """Write what is left and close the file."""
        if self._rest:
            self.feed(b"\n")
        os.close(self._file)

    def tail(self, lines: int) -> str:
        """Return the last lines, for a complaint at the terminal."""
        text = self._path.read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def _line(self, line: bytes) -> bytes:
        if not self._as_json or line.startswith(b"{"):
            return line + b"\n"
        if not line.strip():
            return b""
        moment = datetime.fromtimestamp(now_ms() / 1000, UTC)
        event = {
            "event": scrub(line.decode(errors="replace")),
            "process": self._path.stem,
            "level": "info",
            "time": moment.isoformat(timespec="milliseconds")[:-6] + "Z",
        }
        return orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE)

    def _write(self, data: bytes) -> None:
        try:
            os.write(self._file, data)
            if os.fstat(self._file).st_size > self._max_bytes:
                self._move_away()
        except OSError:
            pass  # a full disk must not stop the processes behind the pipe
        write_console(data)

    def _move_away(self) -> None:
        self._path.replace(self._path.with_suffix(".log.1"))
        os.close(self._file)
        self._file = _open_to_append(self._path)


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
