"""A plain HTTP client for tests: no redirects, no retries, never raises on status."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import urllib3

POOL = urllib3.PoolManager(maxsize=64, retries=False, timeout=100)


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer as it came over the wire."""

    status: int
    headers: urllib3.HTTPHeaderDict
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The body as JSON."""
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed

    @property
    def data(self) -> Any:
        """The ``data`` of a successful envelope; an error fails the test here."""
        assert self.status == 200, self.body
        assert self.json["code"] == 0, self.body
        return self.json["data"]

    @property
    def reason(self) -> str:
        """The stable reason of an error envelope."""
        assert self.status != 200, self.body
        reason: str = self.json["reason"]
        return reason


def call(
    method: str,
    url: str,
    *,
    body: object = None,
    token: str | None = None,
    headers: dict[str, str] | None = None,
) -> Answer:
    """Send one request; ``body`` goes as JSON unless it is bytes."""
    head = dict(headers or {})
    if token is not None:
        head["Authorization"] = f"Bearer {token}"
    data = body if isinstance(body, bytes) or body is None else json.dumps(body)
    if data is not None:
        head.setdefault("Content-Type", "application/json")
    answer = POOL.request(method, url, body=data, headers=head)
    return Answer(answer.status, answer.headers, answer.data)
