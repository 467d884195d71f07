"""The deadline of whoever is served now; what waits below asks here how long it may.

Bound at two doors, `web/middleware.py` and `tasks/base.py`, and read by `models`: a
parameter through every service and query would be forgotten in one of them. It belongs
to the request's own greenlet or the task's own thread; what those start begins without.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar

from config.clock import MS_PER_S, Deadline

_bound: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


def bind_deadline(deadline: Deadline | None) -> None:
    """Let everything that follows here end by ``deadline``; None takes it away."""
    _bound.set(deadline)


def bound_deadline() -> Deadline | None:
    """Return the deadline of the running request or task, None when there is none."""
    return _bound.get()


@contextmanager
def under(deadline: Deadline | None) -> Iterator[None]:
    """Work under another deadline for a while."""
    before = _bound.get()
    _bound.set(deadline)
    try:
        yield
    finally:
        _bound.set(before)


def unhurried() -> AbstractContextManager[None]:
    """Do what must happen, however impatient the client who caused it is.

    The settings' own limits still bound each wait. For what goes on with a store that
    has just answered: one that says nothing is waited for twice as long as they say.
    """
    return under(None)


def for_at_least(seconds: float) -> AbstractContextManager[None]:
    """Work until the bound deadline, for ``seconds`` where less time is left.

    For what should happen for an impatient client too, and may meet a silent store.
    """
    deadline, least = _bound.get(), Deadline.after_ms(seconds * MS_PER_S)
    return under(deadline and max(deadline, least, key=lambda one: one.at))
