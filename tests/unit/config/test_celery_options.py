"""Celery gets names it knows, and the numbers that keep work from being lost."""

import pytest
from celery.app.defaults import DEFAULTS
from celery.backends.base import DisabledBackend
from celery.beat import Scheduler

from config.celery import celery_options
from config.queues import READERS, Queue
from config.schedule import ASK, SCHEDULE, beat_schedule
from config.settings import load_settings
from tasks.app import configure

# Read by Celery's documentation of Redis, though not in its table of defaults.
BESIDE_THE_TABLE = {"visibility_timeout"}


@pytest.fixture
def options(tmp_path):
    given = {"VAR_DIR": str(tmp_path), "VISIBILITY_TIMEOUT_S": "301"}
    return celery_options(load_settings(given, env_file=None))


def test_every_name_is_one_celery_knows(options):
    assert set(options) - set(DEFAULTS) == BESIDE_THE_TABLE


def test_the_visibility_timeout_stands_in_all_three_places(options):
    assert options["visibility_timeout"] == 301
    assert options["broker_transport_options"]["visibility_timeout"] == 301
    assert options["result_backend_transport_options"]["visibility_timeout"] == 301


def test_every_wait_for_the_broker_is_bounded(options):
    transport = options["broker_transport_options"]
    for name in ("socket_timeout", "socket_connect_timeout", "health_check_interval"):
        assert transport[name] > 0
    # The blocking read of kombu takes a second.
    assert transport["socket_timeout"] > 1


def test_messages_are_json_and_acknowledged_late(options):
    assert options["accept_content"] == options["result_accept_content"] == ["json"]
    assert options["task_acks_late"] is True
    assert options["task_reject_on_worker_lost"] is False
    assert options["task_retry_on_worker_lost"] is True
    assert options["task_annotations"]["*"]["max_retries"] == 3
    assert options["worker_prefetch_multiplier"] == 1
    assert options["task_create_missing_queues"] is False


def test_no_result_is_kept_anywhere(tmp_path):
    app = configure(load_settings({"VAR_DIR": str(tmp_path)}, env_file=None))

    assert isinstance(app.backend, DisabledBackend)
    entries = Scheduler(app, lazy=True)
    entries.install_default_entries({})
    assert "celery.backend_cleanup" not in entries.schedule
    app.loader.import_default_modules()
    ours = [task for name, task in app.tasks.items() if name.startswith("tasks.")]
    assert ours
    assert all(task.ignore_result for task in ours)


def test_each_queue_has_one_kind_of_worker():
    served = [queue for queues in READERS.values() for queue in queues]

    assert sorted(served) == sorted(Queue)


def test_beat_asks_for_each_job_twice_a_slot_at_least():
    entries = beat_schedule()
    for job in SCHEDULE:
        entry = entries[job.name]
        assert (entry["task"], entry["args"]) == (ASK, [job.name])
        assert entry["schedule"] == min(job.every_s / 2, 15)
