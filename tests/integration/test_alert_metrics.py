"""Every metric that the alert rules and the runbook name is one we really export."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

import pytest
from prometheus_client.metrics import MetricWrapperBase

import config.metrics
from models.outbox_lease import bury, finish
from tests.architecture.alert_rules import METRIC, RUNBOOK, alerts
from web.bounded_read import BoundedReads
from web.ops_metrics import JournalCollector

if TYPE_CHECKING:
    from pathlib import Path

    from models.database import Database
    from models.stores.container import Stores

# Made by Prometheus for each target.
ENDS = ("total", "bucket", "count")
OWN = {"up"}


def make_collector(
    database: Database, stores: Stores, folder: Path
) -> JournalCollector:
    collector = JournalCollector(lambda: stores, lambda: database, "k:", folder)
    # A busy machine is waited for, or its figures would be left out.
    collector._reads = BoundedReads(seconds=60)
    return collector


def scrape(database: Database, stores: Stores, folder: Path) -> dict[str, float]:
    """Return the samples of one scrape by name and labels."""
    collector = make_collector(database, stores, folder)
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in collector.collect()
        for sample in family.samples
    }


def counted() -> set[str]:
    """Return the names of the samples that processes count themselves."""
    metrics = [
        metric
        for module in iter_modules(config.metrics.__path__, "config.metrics.")
        for metric in vars(import_module(module.name)).values()
        if isinstance(metric, MetricWrapperBase)
    ]
    return {
        name
        for metric in metrics
        for family in metric.describe()
        for name in (family.name, *(f"{family.name}_{end}" for end in ENDS))
    }


def test_rules_and_runbook_name_real_metrics(
    database: Database, stores: Stores, tmp_path: Path
) -> None:
    stores.login_stream.make_group()
    with database.unit_of_work() as work:
        work.enqueue("tasks.profile.warm_user_cache", "u_1")
    exported = OWN | counted()
    exported |= {name.split()[0] for name in scrape(database, stores, tmp_path)}
    # Only from the first finished slot on.
    exported.add("kuaida_schedule_last_done_seconds")

    told = {name for rule in alerts().values() for name in METRIC.findall(rule["expr"])}
    told |= {name for name in METRIC.findall(RUNBOOK) if name.startswith("kuaida_")}

    assert told - exported == set()


def test_figures_tell_what_waits_and_leave_out_what_is_done(
    database: Database, stores: Stores, tmp_path: Path
) -> None:
    with database.unit_of_work() as work:
        ids = [work.enqueue("tasks.exports.export_data", f"u_{n}") for n in range(5)]
        finish(work.session, ids[0])
        bury(work.session, ids[1], "Busy -1")

    found = scrape(database, stores, tmp_path)

    assert found["kuaida_outbox_rows bulk ready"] == 3
    assert found["kuaida_outbox_rows bulk dead"] == 1
    assert "kuaida_outbox_rows bulk done" not in found
    assert found["kuaida_operation_rows running"] == 0
    assert found["kuaida_notification_rows unknown"] == 0
    assert found["kuaida_notifications_unknown_today"] == 0
    # A house that is new: its slot is due since the last quarter of a minute.
    assert 0 <= found["kuaida_schedule_late_seconds sweep_journals"] <= 15
    assert found["kuaida_up disk"] == 1
    assert 0 < found["kuaida_disk_free_ratio"] <= 1
    assert found["kuaida_schedule_every_seconds sweep_journals"] == 15
    assert found["kuaida_queue_module tasks.exports bulk"] == 1


@pytest.mark.usefixtures("clock")
def test_a_second_scrape_soon_after_asks_sql_nothing(
    database: Database, stores: Stores, tmp_path: Path
) -> None:
    collector = make_collector(database, stores, tmp_path)

    def ready() -> float:
        (value,) = [
            sample.value
            for family in collector.collect()
            for sample in family.samples
            if sample.name == "kuaida_outbox_rows"
            and sample.labels == {"lane": "bulk", "state": "ready"}
        ]
        return value

    assert ready() == 0
    with database.unit_of_work() as work:
        work.enqueue("tasks.exports.export_data", "u_1")
    assert ready() == 0


def test_redis_tells_how_full_it_is(stores: Stores) -> None:
    stores.redis.execute("CONFIG", "SET", "maxmemory", "1000mb")
    try:
        assert 0 < stores.memory_share() < 0.5
    finally:
        stores.redis.execute("CONFIG", "SET", "maxmemory", "0")
    assert stores.memory_share() == 0
