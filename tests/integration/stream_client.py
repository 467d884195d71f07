"""A page that listens on the events channel by stream, as bytes come over a socket."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import urllib3

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.phone import Phone

PATIENCE_S = 60


class Listening:
    """One open stream; reads line by line whatever the pieces."""

    def __init__(self, phone: Phone, cursor: str | None = None) -> None:
        query = "" if cursor is None else f"?cursor={cursor}"
        head = {
            "Authorization": f"Bearer {phone.data['access_token']}",
            "Accept": "application/x-ndjson",
        }
        url = f"{phone.stack.url('web')}/api/v1/events{query}"
        self._pool = urllib3.PoolManager(retries=False, timeout=PATIENCE_S)
        self.answer = self._pool.request(
            "GET", url, headers=head, preload_content=False
        )
        self.lines = self._lines()

    def _lines(self) -> Iterator[dict[str, Any]]:
        kept = b""
        for piece in self.answer.stream(65_536):
            *whole, kept = (kept + piece).split(b"\n")
            yield from (json.loads(line) for line in whole)

    def until(self, kind: str) -> dict[str, Any]:
        """Return the next line of a type; others before it are passed over."""
        return next(line for line in self.lines if line["type"] == kind)

    def hang_up(self) -> None:
        """Close the connection in the middle."""
        self.answer.shutdown()
        self.answer.close()
        self._pool.clear()
