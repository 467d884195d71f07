"""Who is asking: what a service may know of a request, without any HTTP in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from config.clock import MS_PER_S
from models.base import made_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from config.clock import Deadline
    from models.quota import Quota


@dataclass(frozen=True, slots=True)
class Caller:
    """Origin and patience of a request; ``ip`` is already cut to its limit form.

    Services that admit by themselves tell ``on_quota`` what their limits leave.
    """

    ip: str
    device_id: str
    request_id: str
    deadline: Deadline
    on_quota: Callable[[Quota | None], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class Claims:
    """The verified content of an access token; its times are epoch seconds."""

    user_id: str
    session_id: str
    app_id: str
    token_id: str
    expires_at: int
    issued_at: int = 0
    epoch: int = 0

    @property
    def opened_at(self) -> int:
        """When its session was opened, in epoch ms."""
        return opened_at(self.session_id, self.issued_at)


def opened_at(session_id: str, issued_at: int) -> int:
    """Return when a session was opened (epoch ms): its id begins with that.

    The token of ``issued_at`` (seconds) says it of sessions that have another id.
    """
    return made_at(session_id) or issued_at * MS_PER_S
