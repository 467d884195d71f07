"""Reads a gauge of all processes, for those who answer in words rather than metrics."""

from __future__ import annotations

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector


def read_gauge(name: str, label: str) -> dict[str, float]:
    """Return the values of a gauge by one of its labels, the largest of each."""
    registry = CollectorRegistry()
    try:
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    except ValueError:
        registry = REGISTRY  # one process only: its own figures are all there are
    values: dict[str, float] = {}
    for metric in registry.collect():
        if metric.name == name:
            for sample in metric.samples:
                key = sample.labels.get(label, "")
                values[key] = max(sample.value, values.get(key, sample.value))
    return values
