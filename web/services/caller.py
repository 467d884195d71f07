"""Who is asking: what a service may know of a request, without any HTTP in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from config.clock import Deadline


@dataclass(frozen=True, slots=True)
class Caller:
    """Origin and patience of a request; ``ip`` is already cut to its limit form."""

    ip: str
    device_id: str
    request_id: str
    deadline: Deadline


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
