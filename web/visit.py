"""The state of one request on its way through the house, kept in the WSGI environ.

`web/middleware.py` makes it, the layers inside fill it in, the log line reads it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from config.clock import Deadline
    from models.quota import Quota

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
    # The deadline again if the client named it itself, by X-Timeout-Ms.
    patience: Deadline | None = None
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

    def show_quota(self, quota: Quota | None) -> None:
        """Have the answer tell what the limits leave; the last word counts."""
        if quota is None:
            return
        others = [pair for pair in self.headers if not pair[0].startswith("RateLimit-")]
        self.headers = [
            *others,
            ("RateLimit-Limit", str(quota.limit)),
            ("RateLimit-Remaining", str(quota.remaining)),
            ("RateLimit-Reset", str(quota.reset_s)),
        ]


def visit_of(environ: dict[str, Any]) -> Visit:
    """Return the visit the middleware put into ``environ``."""
    return cast("Visit", environ[ENVIRON_KEY])
