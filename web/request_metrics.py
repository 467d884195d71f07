"""Request counters with kept label children: finding a child costs more than counting.

The objects are `config/metrics/requests.py`'s; this file only remembers their children.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from config.metrics.requests import HTTP_REQUESTS, HTTP_SECONDS

if TYPE_CHECKING:
    from prometheus_client import Counter, Histogram

# Methods are text of the client's; others share one label, so that nobody can
# grow our memory by inventing some.
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class RequestMetrics:
    """Counts requests by route template, method and status, and times them."""

    def __init__(self) -> None:
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def count(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one finished request."""
        key = (route, method, status)
        children = self._children.get(key)
        if children is None:
            children = self._new_children(route, method, status)
        counter, histogram = children
        counter.inc()
        histogram.observe(seconds)

    def _new_children(
        self, route: str, method: str, status: int
    ) -> tuple[Counter, Histogram]:
        label = method if method in METHODS else "other"
        children = (
            HTTP_REQUESTS.labels(route, label, str(status)),
            HTTP_SECONDS.labels(route),
        )
        if label == method:
            self._children[route, method, status] = children
        return children
