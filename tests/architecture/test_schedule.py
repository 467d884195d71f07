"""The clock's table: real tasks, known queues, one job at least every 30 seconds."""

from __future__ import annotations

from config.queues import Queue
from config.schedule import SCHEDULE, beat_schedule
from tasks.app import app


def test_beat_entries_name_real_tasks() -> None:
    app.loader.import_default_modules()
    unknown = [job.task for job in SCHEDULE if job.task not in app.tasks]

    assert unknown == []


def test_beat_is_given_the_table_and_nothing_else() -> None:
    entries = beat_schedule()

    assert set(entries) == {job.name for job in SCHEDULE}
    assert {entry["task"] for entry in entries.values()} == {j.task for j in SCHEDULE}


def test_job_names_are_used_once() -> None:
    names = [job.name for job in SCHEDULE]

    assert sorted(names) == sorted(set(names))


def test_jobs_run_on_known_queues() -> None:
    queues = {queue.value for queue in Queue}

    assert {str(job.queue) for job in SCHEDULE} <= queues


def test_something_is_due_every_half_minute() -> None:
    assert min(job.every_s for job in SCHEDULE) <= 30


def test_every_task_name_is_its_import_path() -> None:
    ours = {name: task for name, task in app.tasks.items() if name[:7] != "celery."}
    renamed = [
        name
        for name, task in ours.items()
        if name != f"{task.run.__module__}.{task.run.__name__}"
    ]

    assert ours
    assert renamed == []
