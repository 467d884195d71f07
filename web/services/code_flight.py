"""An exchange of a code that goes on when its caller has no more time.

A code works only once: given up, its exchange would have spent it for nothing. Whoever
sends the code again meanwhile joins. `web/services/login.py` and
`web/services/phone_calls.py` fly.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Overdue
from contextlib import contextmanager
from contextvars import copy_context
from typing import TYPE_CHECKING, Final, TypeVar
from weakref import WeakValueDictionary

from config.clock import MS_PER_S, Deadline
from config.logging import get_logger
from config.metrics.accounts import CODES_OUTLASTED
from config.patience import unhurried
from models.errors import KuaidaError, Unavailable, Upstream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")
# What its thread is called.
FLIGHT: Final = "code-flight"
# Time kept back from WeChat so that what it says can still be written and told.
RESERVE_S: Final = 0.3
RESERVE_SHARE: Final = 0.2

_log = get_logger(__name__)


class Course:
    """Where the flight of a code is: who is late when a caller's time is up."""

    def __init__(self) -> None:
        self._at_wechat = 0

    @contextmanager
    def at_wechat(self) -> Iterator[None]:
        """Wait for WeChat, or for another process that asks it."""
        self._at_wechat += 1
        try:
            yield
        finally:
            self._at_wechat -= 1

    def lateness(self) -> KuaidaError:
        """Return the error of a caller whose time is up now."""
        if self._at_wechat:
            return Upstream(reason="wechat_timeout")
        return Unavailable("the stores took the caller's time")


class Courses:
    """The courses of a process: callers with one code share one while any waits."""

    def __init__(self) -> None:
        self._flown: WeakValueDictionary[str, Course] = WeakValueDictionary()

    def of(self, code_key: str) -> Course:
        """Return the course of a code; it lives as long as somebody holds it."""
        return self._flown.setdefault(code_key, Course())


def flight_deadline(caller: Deadline) -> Deadline:
    """Return by when WeChat must have answered a caller of this patience."""
    return caller.with_reserve(RESERVE_S, RESERVE_SHARE)


def outlast(
    fly: Callable[[Deadline], T], caller: Deadline, patience_s: float, course: Course
) -> T:
    """Run ``fly`` to its end, for ``patience_s`` where the caller has less time.

    Returns what it gives, and raises what it raises. At the caller's own deadline
    raises `Upstream` (``wechat_timeout``), or `Unavailable` where the ``course`` says
    that the stores are slow; ``fly`` goes on then.
    """
    if caller.expired or caller.remaining_s() >= patience_s:
        return fly(caller)
    landed: Future[T] = Future()
    run = copy_context().run
    threading.Thread(
        target=lambda: run(_fly, fly, patience_s, landed), name=FLIGHT, daemon=True
    ).start()
    try:
        return landed.result(flight_deadline(caller).remaining_s())
    except Overdue:
        CODES_OUTLASTED.inc()
        raise course.lateness() from None


def _fly(fly: Callable[[Deadline], T], patience_s: float, landed: Future[T]) -> None:
    try:
        with unhurried():
            landed.set_result(fly(Deadline.after_ms(patience_s * MS_PER_S)))
    except KuaidaError as error:
        landed.set_exception(error)
    except Exception as error:  # noqa: BLE001 (a thread's last resort; its caller may be gone)
        _log.error("code_flight_failed", error=type(error).__name__, exc_info=error)
        landed.set_exception(error)
