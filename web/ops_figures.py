"""The gauges that are read at scrape time, made of what each part says."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily

from config.clock import MS_PER_S
from config.queues import MODULE_QUEUES
from config.schedule import SCHEDULE
from models.outbox_support import COUNTED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from models.figures import Figures
    from models.outbox_support import Backlog
    from models.stores.login_stream import StreamBacklog

Families = list[GaugeMetricFamily]


def gauge(name: str, words: str, value: float) -> GaugeMetricFamily:
    """Return a gauge without labels."""
    return GaugeMetricFamily(name, words, value=value)


def gauges(
    name: str, words: str, label: str, values: Mapping[str, float]
) -> GaugeMetricFamily:
    """Return a gauge with one value for each value of a label."""
    family = GaugeMetricFamily(name, words, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def stream_figures(stream: StreamBacklog) -> Families:
    """Return the figures of the login journal."""
    return [
        gauge("kuaida_login_journal_entries", "Logins not in SQL.", stream.length),
        gauge("kuaida_login_journal_pending", "Logins at a task.", stream.pending),
        gauge(
            "kuaida_login_journal_oldest_seconds",
            "Age of the oldest login not in SQL.",
            stream.oldest_age_ms / MS_PER_S,
        ),
    ]


def sql_figures(found: Figures) -> Families:
    """Return the figures of the outbox, operations, messages and clock."""
    return [
        *_outbox(found.backlog),
        gauges(
            "kuaida_operation_rows",
            "Operations that go on or are dead.",
            "state",
            found.operations,
        ),
        gauges(
            "kuaida_notification_rows",
            "Messages that wait, are on their way, or have an unknown end.",
            "state",
            found.notifications,
        ),
        gauge(
            "kuaida_notifications_unknown_today",
            "Messages whose end became unknown within 24 hours.",
            found.fresh_unknown,
        ),
        gauge(
            "kuaida_paid_month_fen",
            "Fen of this month's billed calls, of the app that spent most.",
            found.paid_fen,
        ),
        gauges(
            "kuaida_schedule_last_done_seconds",
            "How long ago the newest slot was due that is done.",
            "job",
            _seconds(found.slot_ages_ms),
        ),
        gauges(
            "kuaida_schedule_late_seconds",
            "For how long the oldest due slot waits to be taken.",
            "job",
            _seconds(found.slot_late_ms),
        ),
    ]


def fixed_figures() -> Families:
    """Return what rules need to know of the code: slots, and who runs where."""
    every = {job.name: float(job.every_s) for job in SCHEDULE}
    modules = GaugeMetricFamily(
        "kuaida_queue_module",
        "Always 1: tasks of this module run on this queue.",
        labels=["module", "queue"],
    )
    for module, queue in MODULE_QUEUES.items():
        modules.add_metric([module, str(queue)], 1)
    words = "Seconds between the slots of a job."
    return [gauges("kuaida_schedule_every_seconds", words, "job", every), modules]


def disk_figures(folder: Path) -> Families:
    """Return how much of the disk under ``folder`` is free."""
    usage = shutil.disk_usage(folder)
    share = usage.free / usage.total
    return [gauge("kuaida_disk_free_ratio", "Free part of VAR_DIR's disk.", share)]


def _outbox(found: Backlog) -> Iterable[GaugeMetricFamily]:
    rows = GaugeMetricFamily(
        "kuaida_outbox_rows",
        "Outbox rows that are not over, by lane and state.",
        labels=["lane", "state"],
    )
    for name, lane in found.lanes.items():
        for state in COUNTED:
            rows.add_metric([name, state], getattr(lane, state))
    yield rows
    yield gauge(
        "kuaida_outbox_oldest_ready_seconds",
        "How overdue the oldest ready row is.",
        found.oldest_ready_age_ms / MS_PER_S,
    )
    ages = {name: lane.oldest_ready_age_ms for name, lane in found.lanes.items()}
    yield gauges(
        "kuaida_outbox_lane_oldest_seconds",
        "How overdue the oldest ready row of a lane is.",
        "lane",
        _seconds(ages),
    )


def _seconds(ages_ms: Mapping[str, int]) -> dict[str, float]:
    return {name: age / MS_PER_S for name, age in ages_ms.items()}
