"""An exchange that goes on when its caller has no more time: a code works only once.

Whoever sends the code again meanwhile joins it; `web/services/login.py` leads.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Overdue
from contextvars import copy_context
from typing import TYPE_CHECKING, Final

from config.clock import MS_PER_S, Deadline
from config.logging import get_logger
from config.metrics.accounts import LOGINS_OUTLASTED
from config.patience import unhurried
from models.errors import KuaidaError, Upstream

if TYPE_CHECKING:
    from collections.abc import Callable

    Fly = Callable[[Deadline], bytes]

# What its thread is called.
FLIGHT: Final = "login-flight"
# Time kept back from WeChat so that the session can still be written.
RESERVE_S: Final = 0.3
RESERVE_SHARE: Final = 0.2

_log = get_logger(__name__)


def flight_deadline(caller: Deadline) -> Deadline:
    """Return by when WeChat must have answered a caller of this patience."""
    return caller.with_reserve(RESERVE_S, RESERVE_SHARE)


def outlast(fly: Fly, caller: Deadline, patience_s: float) -> bytes:
    """Run ``fly`` to its end, for ``patience_s`` where the caller has less time.

    Returns what it gives, and raises what it raises. Raises `Upstream`
    (``wechat_timeout``) at the caller's own deadline; ``fly`` goes on then.
    """
    if caller.expired or caller.remaining_s() >= patience_s:
        return fly(flight_deadline(caller))
    landed: Future[bytes] = Future()
    run = copy_context().run
    threading.Thread(
        target=lambda: run(_fly, fly, patience_s, landed), name=FLIGHT, daemon=True
    ).start()
    try:
        return landed.result(flight_deadline(caller).remaining_s())
    except Overdue:
        LOGINS_OUTLASTED.inc()
        raise Upstream(reason="wechat_timeout") from None


def _fly(fly: Fly, patience_s: float, landed: Future[bytes]) -> None:
    try:
        with unhurried():
            deadline = Deadline.after_ms(patience_s * MS_PER_S)
            landed.set_result(fly(flight_deadline(deadline)))
    except KuaidaError as error:
        landed.set_exception(error)
    except Exception as error:  # noqa: BLE001 (a thread's last resort; its caller may be gone)
        _log.error("login_flight_failed", error=type(error).__name__, exc_info=error)
        landed.set_exception(error)
