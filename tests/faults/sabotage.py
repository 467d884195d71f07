"""Take one guard away in one process, to see that a drill notices.

The entry modules of the drills call `apply`; the environment variable ``SABOTAGE``
names the guards. Production code has no such switch.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from models import outbox_lease
from tasks import leases, work
from workers import outbox_relay

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

VARIABLE = "SABOTAGE"


def forget_done_marks() -> None:
    """Treat each message as new: the inbox row guards no more."""
    replace(work, "mark_done", lambda _: lambda *_: True)


def ignore_fences() -> None:
    """Let whoever comes last write: an overtaken attempt is not recognised."""

    def without_fence(change: Callable[..., Any]) -> Callable[..., Any]:
        return lambda session, row_id, _, **values: change(
            session, row_id, None, **values
        )

    replace(outbox_lease, "_change", without_fence)


def renew_nothing() -> None:
    """Let leases run out under the living: work that says nothing is taken over."""
    replace(leases, "renew_held", lambda _: lambda *_: set())


def never_resend() -> None:
    """Claim new rows only: what was sent and not finished is nobody's any more."""
    replace(outbox_relay, "claim", only_ready)
    replace(outbox_relay, "list_due_lanes", only_ready)


def only_ready(act: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``act`` as it would be if rows that were sent were closed."""

    def narrowed(*args: Any, **how: Any) -> Any:
        with patch.object(outbox_lease, "OPEN_STATES", ("ready",)):
            return act(*args, **how)

    return narrowed


def replace(
    module: ModuleType,
    name: str,
    change: Callable[[Callable[..., Any]], Callable[..., Any]],
) -> None:
    """Put ``change`` of a function in its place; a name that has moved is an error."""
    setattr(module, name, change(getattr(module, name)))


GUARDS: dict[str, Callable[[], None]] = {
    "inbox": forget_done_marks,
    "fencing": ignore_fences,
    "renewal": renew_nothing,
    "sweeper": never_resend,
}


def apply() -> None:
    """Take away the guards that this process's environment names, if any."""
    for name in os.environ.get(VARIABLE, "").split():
        GUARDS[name]()
