"""One request as it goes over the wire, and what a client makes of its answer."""

from __future__ import annotations

import json
from http.client import HTTPConnection
from typing import TYPE_CHECKING, NamedTuple

from tests.servers.phone import Phone
from tests.servers.stack import generous_limits

if TYPE_CHECKING:
    from tests.servers.stack import Stack


class Told(NamedTuple):
    """What a client makes of an answer; ``left`` are the RateLimit headers."""

    status: int
    reason: str
    retry_after_ms: int
    left: tuple[str | None, ...]


class Knock(NamedTuple):
    """One request as it goes over the wire, the path untouched."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes | None = None


def limits(**rules: str) -> str:
    """Return RATE_LIMITS with these rules (``read_user``) and room everywhere else."""
    named = {name.replace("_", ".", 1): rule for name, rule in rules.items()}
    return json.dumps(json.loads(generous_limits()) | named)


def person(stack: Stack) -> Phone:
    """Return a new user who is logged in."""
    phone = Phone(stack)
    assert phone.login().status == 200
    return phone


def send(port: int, knock: Knock) -> Told:
    """Send one request over a connection of its own."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(
            knock.method, knock.path, body=knock.body, headers=knock.headers
        )
        answer = connection.getresponse()
        raw = answer.read()
    finally:
        connection.close()
    fields = json.loads(raw) if raw.startswith(b"{") else {}
    names = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
    return Told(
        answer.status,
        fields.get("reason", ""),
        fields.get("retry_after_ms", 0),
        tuple(answer.headers.get(name) for name in names),
    )
