"""The state of one request on its way through the house, kept in the WSGI environ.

`web/middleware.py` makes it, the layers inside fill it in, the log line reads it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from config.clock import Deadline

ENVIRON_KEY = "kuaida.visit"
UNMATCHED = "unmatched"
# What a browser may do with our answers: they are data, nothing is to be run.
DATA_ONLY = "default-src 'none'; frame-ancestors 'none'"


@dataclass(slots=True)
class Visit:
    """One request; ``started`` is on the monotonic clock.

    ``waited_s`` of its time was the client's wish, not work; ``streams`` tells that
    the answer goes on after the app has returned.
    """

    request_id: str
    method: str
    ip: str
    started: float
    deadline: Deadline
    languages: str = ""
    device_id: str = ""
    referer: str = ""
    route: str = UNMATCHED
    reason: str = ""
    user_id: str = ""
    app_id: str = ""
    waited_s: float = 0.0
    streams: bool = False
    content_policy: str = DATA_ONLY
    headers: list[tuple[str, str]] = field(default_factory=list)


def visit_of(environ: dict[str, Any]) -> Visit:
    """Return the visit the middleware put into ``environ``."""
    return cast("Visit", environ[ENVIRON_KEY])
