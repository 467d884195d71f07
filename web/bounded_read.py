"""Looks at stores that may hang, for listeners that must answer.

A look that is not back in time is given up by its caller and keeps its thread; while
it is still out, later looks at the same part fail at once. SQL ends soon after, by the
same limit: the next look tells of now, not of then.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as LookTimeout
from typing import TYPE_CHECKING, Final, TypeVar

from config.clock import MS_PER_S, Deadline
from config.patience import under
from models.errors import KuaidaError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

# A scrape gives up after 10 s by default; three parts one after the other stay below.
LOOK_S: Final = 2.0
PARTS: Final = 5


class NoAnswer(Unavailable):
    """A part has not answered in time: it may be away, or this process busy."""


class BoundedReads:
    """Runs one look a part at a time, each at most ``seconds`` long."""

    def __init__(self, seconds: float = LOOK_S) -> None:
        self._seconds = seconds
        self._threads = ThreadPoolExecutor(PARTS, thread_name_prefix="look")
        self._out: dict[str, Future[object]] = {}

    def look(self, part: str, read: Callable[[], T]) -> T:
        """Return ``read()``; raises `Unavailable`, and `NoAnswer` after its time."""
        out = self._out.get(part)
        if out is not None and not out.done():
            raise NoAnswer(f"{part} has not answered yet")
        future: Future[T] = self._threads.submit(self._bounded, read)
        self._out[part] = future  # type: ignore[assignment]
        try:
            return future.result(self._seconds)
        except LookTimeout as error:
            raise NoAnswer(f"{part} did not answer in time") from error
        except KuaidaError:
            raise
        except Exception as error:
            raise Unavailable(f"{part}: {type(error).__name__}") from error

    def _bounded(self, read: Callable[[], T]) -> T:
        with under(Deadline.after_ms(self._seconds * MS_PER_S)):
            return read()
