"""`/metrics`: every process's counters, and the state of all parts at scrape time.

prometheus-flask-exporter serves the multiprocess registry; requests are counted by
`web/request_metrics.py`, since its own hooks cost more than our views.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from prometheus_flask_exporter import PrometheusMetrics

from config.clock import monotonic
from config.queues import Queue
from models.errors import Unavailable
from models.figures import read_figures
from web.bounded_read import BoundedReads
from web.ops_figures import (
    Families,
    disk_figures,
    fixed_figures,
    gauge,
    gauges,
    sql_figures,
    stream_figures,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from flask import Flask
    from prometheus_client import Metric

    from models.database import Database
    from models.stores.container import Stores

# Below any sensible interval of scrapes.
FRESH_S: Final = 3.0


class JournalCollector(Collector):
    """What `web/ops_figures.py` makes of each part; says which part was away."""

    def __init__(
        self,
        stores: Callable[[], Stores],
        database: Callable[[], Database],
        queue_prefix: str,
        var_dir: Path,
    ) -> None:
        self._stores = stores
        self._database = database
        self._queue_prefix = queue_prefix
        self._var_dir = var_dir
        self._reads = BoundedReads()
        self._kept: tuple[float, Families] = (-FRESH_S, [])

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
            ("database", self._sql),
            ("disk", self._disk),
        ):
            try:
                families = self._reads.look(part, read)
            except Unavailable:
                up.add_metric([part], 0)
            else:
                up.add_metric([part], 1)
                yield from families
        yield up
        yield from fixed_figures()

    def _redis(self) -> Families:
        share = self._stores().memory_share()
        words = "Used part of Redis' memory; 0 without a limit."
        return [gauge("kuaida_redis_memory_used_ratio", words, share)]

    def _login_journal(self) -> Families:
        return stream_figures(self._stores().login_stream.backlog())

    def _queues(self) -> Families:
        names = {f"{self._queue_prefix}{queue.value}": queue.value for queue in Queue}
        lengths = self._stores().queue_lengths(list(names))
        waiting = {names[name]: length for name, length in lengths.items()}
        words = "Messages waiting in the broker."
        return [gauges("kuaida_queue_length", words, "queue", waiting)]

    def _sql(self) -> Families:
        # Several scrapers, or an impatient one, cost SQL no more than one does.
        asked_at, families = self._kept
        if monotonic() - asked_at >= FRESH_S:
            with self._database().read() as session:
                families = sql_figures(read_figures(session))
            self._kept = monotonic(), families
        return families

    def _disk(self) -> Families:
        return disk_figures(self._var_dir)


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
        try:
            counters, content_type = super().generate_metrics(None, names)
        except FileNotFoundError:
            # A process ended between the listing of the files and the reading.
            counters, content_type = super().generate_metrics(None, names)
        registry: Any = self._journals
        if names:
            registry = registry.restricted_registry(names)
        return counters + generate_latest(registry).decode(), content_type
