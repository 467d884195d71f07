"""Take one guard away in one process, to see that a drill notices.

The entry modules of the drills call `apply`; the environment variable ``SABOTAGE``
names the guard. Production code has no such switch.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from models import outbox_lease
from tasks import work
from workers import outbox_relay

if TYPE_CHECKING:
    from collections.abc import Callable

VARIABLE = "SABOTAGE"
# What is replaced below are names these modules import, not names they export.
LEASE: Any = outbox_lease
TASKS: Any = work
RELAY: Any = outbox_relay


def forget_done_marks() -> None:
    """Treat each message as new: the inbox row guards no more."""
    TASKS.mark_done = lambda *_: True


def ignore_fences() -> None:
    """Let whoever comes last write: an overtaken attempt is not recognised."""
    change = LEASE._change

    def unfenced(session: Any, row_id: str, _fence: object, **values: object) -> Any:
        return change(session, row_id, None, **values)

    LEASE._change = unfenced


def never_resend() -> None:
    """Claim new rows only: what was sent and not finished is nobody's any more."""
    RELAY.claim = only_ready(RELAY.claim)
    RELAY.list_due_lanes = only_ready(RELAY.list_due_lanes)


def only_ready(act: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``act`` as it would be if rows that were sent were closed."""

    def narrowed(*args: Any, **how: Any) -> Any:
        states, LEASE.OPEN_STATES = LEASE.OPEN_STATES, ("ready",)
        try:
            return act(*args, **how)
        finally:
            LEASE.OPEN_STATES = states

    return narrowed


GUARDS: dict[str, Callable[[], None]] = {
    "inbox": forget_done_marks,
    "fencing": ignore_fences,
    "sweeper": never_resend,
}


def apply() -> None:
    """Take away the guard that this process's environment names, if any."""
    if name := os.environ.get(VARIABLE):
        GUARDS[name]()
