"""The ledger: each id the system has acknowledged, on disk before the next request."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, NamedTuple

from config.clock import now_ms

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class Entry(NamedTuple):
    """``id`` of a ``kind`` was acknowledged, or its answer never came (``unknown``)."""

    kind: str
    id: str
    user_id: str
    at: int
    unknown: bool


class Ledger:
    """Append-only file of entries; safe for the threads of a load."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._sink = path.open("a")
        self._lock = threading.Lock()

    def add(
        self, kind: str, ids: Iterable[str], user_id: str = "", *, unknown: bool = False
    ) -> None:
        """Write acknowledged ids down at once."""
        at = now_ms()
        lines = [
            json.dumps(Entry(kind, one, user_id, at, unknown)._asdict()) for one in ids
        ]
        with self._lock:
            self._sink.write("".join(f"{line}\n" for line in lines))
            self._sink.flush()

    def close(self) -> None:
        """Close the file; it can still be read."""
        self._sink.close()

    def read(self, kind: str | None = None) -> list[Entry]:
        """Return the entries of a kind, all of them when none is named."""
        with self._path.open() as source:
            found = [Entry(**json.loads(line)) for line in source]
        return [entry for entry in found if kind in (None, entry.kind)]
