"""`/metrics`: every process's counters, and the state of the journals at scrape time.

prometheus-flask-exporter serves the multiprocess registry; requests are counted by
`web/request_metrics.py`, since its own hooks cost more than our views.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from prometheus_flask_exporter import PrometheusMetrics

from config.queues import Queue
from models.errors import Unavailable
from models.outbox_support import backlog
from web.bounded_read import BoundedReads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flask import Flask
    from prometheus_client import Metric

    from models.database import Database
    from models.stores.container import Stores

MS_PER_S: Final = 1000


class JournalCollector(Collector):
    """Lag, age and length of the journals; says which part was away."""

    def __init__(
        self,
        stores: Callable[[], Stores],
        database: Callable[[], Database],
        queue_prefix: str,
    ) -> None:
        self._stores = stores
        self._database = database
        self._queue_prefix = queue_prefix
        self._reads = BoundedReads()

    def describe(self) -> list[Metric]:
        """Return nothing, so that registering looks at no store."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Yield the figures of the parts that answered, and `kuaida_up` for all."""
        up = GaugeMetricFamily(
            "kuaida_up", "1 when the part answered this scrape.", labels=["part"]
        )
        for part, read in (
            ("redis", self._redis),
            ("login_journal", self._login_journal),
            ("queues", self._queues),
            ("database", self._outbox),
        ):
            try:
                families = self._reads.look(part, read)
            except Unavailable:
                up.add_metric([part], 0)
            else:
                up.add_metric([part], 1)
                yield from families
        yield up

    def _redis(self) -> list[GaugeMetricFamily]:
        self._stores().ping()
        return []

    def _login_journal(self) -> list[GaugeMetricFamily]:
        stream = self._stores().login_stream.backlog()
        return [
            _gauge("kuaida_login_journal_entries", "Logins not in SQL.", stream.length),
            _gauge("kuaida_login_journal_pending", "Logins at a task.", stream.pending),
            _gauge(
                "kuaida_login_journal_oldest_seconds",
                "Age of the oldest login not in SQL.",
                stream.oldest_age_ms / MS_PER_S,
            ),
        ]

    def _queues(self) -> list[GaugeMetricFamily]:
        names = {f"{self._queue_prefix}{queue.value}": queue.value for queue in Queue}
        waiting = GaugeMetricFamily(
            "kuaida_queue_length", "Messages waiting in the broker.", labels=["queue"]
        )
        for name, length in self._stores().queue_lengths(list(names)).items():
            waiting.add_metric([names[name]], length)
        return [waiting]

    def _outbox(self) -> list[GaugeMetricFamily]:
        with self._database().read() as session:
            found = backlog(session)
        rows = GaugeMetricFamily(
            "kuaida_outbox_rows", "Outbox rows by state.", labels=["state"]
        )
        for state, count in found.by_state.items():
            rows.add_metric([state], count)
        oldest = _gauge(
            "kuaida_outbox_oldest_ready_seconds",
            "How overdue the oldest ready row is.",
            found.oldest_ready_age_ms / MS_PER_S,
        )
        return [rows, oldest]


class Exposition(PrometheusMetrics):  # type: ignore[misc]
    """The exporter's endpoint with the journals' figures after the counters."""

    def __init__(self, app: Flask, collector: Collector) -> None:
        self._journals = CollectorRegistry(auto_describe=False)
        self._journals.register(collector)
        super().__init__(app, path="/metrics", export_defaults=False)

    def generate_metrics(
        self, accept_header: str | None = None, names: list[str] | None = None
    ) -> tuple[str, str]:
        """Return the text format only: it may simply be joined, OpenMetrics may not."""
        _ = accept_header
        counters, content_type = super().generate_metrics(None, names)
        registry: Any = self._journals
        if names:
            registry = registry.restricted_registry(names)
        return counters + generate_latest(registry).decode(), content_type


def _gauge(name: str, words: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, words, value=value)
