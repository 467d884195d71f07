"""Who is asking: what a service may know of a request, without any HTTP in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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
    """The verified content of an access token; times are epoch seconds."""

    user_id: str
    session_id: str
    app_id: str
    token_id: str
    expires_at: int
    issued_at: int = 0
    epoch: int = 0
