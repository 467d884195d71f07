"""The clock's table: real tasks, known queues, one job at least every 30 seconds."""

from __future__ import annotations

from config.queues import MODULE_QUEUES
from config.schedule import ASK, SCHEDULE, CatchUp, beat_schedule
from models.schedule import slot_subject
from tasks.app import app
from tasks.schedule import ScheduledTask

# Of `outbox.subject_id`.
SUBJECT_LENGTH = 40


def test_beat_entries_name_real_tasks() -> None:
    app.loader.import_default_modules()
    wanted = {ASK, *(job.task for job in SCHEDULE)}

    assert wanted - set(app.tasks) == set()


def test_every_job_is_durable_work() -> None:
    app.loader.import_default_modules()
    others = [
        job.name
        for job in SCHEDULE
        if not isinstance(app.tasks[job.task], ScheduledTask)
    ]

    assert others == []


def test_every_job_says_what_becomes_of_missed_slots() -> None:
    for job in SCHEDULE:
        assert job.catch_up in CatchUp
        # A tolerance is for `skip` alone, and one of a whole slot would never skip.
        tolerates = 0 < job.late_s < job.every_s
        assert tolerates == (job.catch_up is CatchUp.SKIP)


def test_a_slot_fits_the_column_that_names_it() -> None:
    far = 10**13
    longest = max(len(slot_subject(job.name, far)) for job in SCHEDULE)

    assert longest <= SUBJECT_LENGTH


def test_beat_is_given_the_table_and_nothing_else() -> None:
    entries = beat_schedule()

    assert set(entries) == {job.name for job in SCHEDULE}
    assert {entry["task"] for entry in entries.values()} == {ASK}


def test_job_names_are_used_once() -> None:
    names = [job.name for job in SCHEDULE]

    assert sorted(names) == sorted(set(names))


def test_jobs_run_on_known_queues() -> None:
    modules = {job.task.rpartition(".")[0] for job in SCHEDULE}

    assert modules <= set(MODULE_QUEUES)


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
