"""What a twist is: a request to send, and the answer it must get."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from config.clock import now_ms

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.identity.forge import Forge

ME = "/api/v1/me"
REFRESH = "/api/v1/auth/refresh"


class Wanted(NamedTuple):
    """The answer a twist must get."""

    status: int
    reason: str


INVALID = Wanted(401, "token_invalid")
MISSING = Wanted(401, "token_missing")
EXPIRED = Wanted(401, "token_expired")
REVOKED = Wanted(401, "session_revoked")


@dataclass(frozen=True, slots=True)
class Sent:
    """One request; each of ``fields`` becomes an Authorization field of its own."""

    fields: tuple[str, ...] = ()
    path: str = ME
    body: str | None = None


@dataclass(frozen=True, slots=True)
class Twist:
    """One way to be refused."""

    group: str
    name: str
    send: Callable[[Forge], Sent]
    wanted: Wanted = INVALID


def bearer(token: str) -> Sent:
    """Return the usual request with ``token``."""
    return Sent((f"Bearer {token}",))


def now() -> int:
    """Return epoch seconds."""
    return now_ms() // 1000


def claim(name: str, *, wanted: Wanted = INVALID, **changes: Any) -> Twist:
    """Return a twist of claims, rightly signed."""
    return Twist("claims", name, lambda f: bearer(f.token(**changes)), wanted)


def timed(name: str, make: Callable[[], dict[str, int]], wanted: Wanted) -> Twist:
    """Return a twist of times, taken when it is sent."""
    return Twist("times", name, lambda f: bearer(f.token(**make())), wanted)


def head(name: str, **changes: Any) -> Twist:
    """Return a twist of the header, rightly signed."""
    return Twist("header", name, lambda f: bearer(f.headed(**changes)))


def twice(
    members: dict[str, Any], name: str, value: str, *, first: bool = False
) -> str:
    """Return an object in which one member stands twice."""
    text, again = json.dumps(members), f'"{name}": {json.dumps(value)}'
    return f"{{{again}, {text[1:]}" if first else f"{text[:-1]}, {again}}}"
