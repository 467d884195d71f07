"""One list of queues: the enumeration, the Procfile and Compose agree."""

from __future__ import annotations

from config.celery import ROUTES
from config.queues import MODULE_QUEUES, READERS, Queue
from tasks.app import TASK_MODULES
from tests.architecture.documents import command_text, compose, procfile, queues_in
from tests.architecture.sources import ours

QUEUES = sorted(queue.value for queue in Queue)


def test_procfile_serves_every_queue_once() -> None:
    served = [name for line in procfile().values() for name in queues_in(line)]

    assert sorted(served) == QUEUES


def test_compose_serves_every_queue_once() -> None:
    services = compose()["services"].values()
    served = [name for service in services for name in queues_in(command_text(service))]

    assert sorted(served) == QUEUES


def test_procfile_and_compose_share_the_queues_alike() -> None:
    services = compose()["services"]
    differing = {
        name: (queues_in(line), queues_in(command_text(services.get(name, {}))))
        for name, line in procfile().items()
        if queues_in(line) != queues_in(command_text(services.get(name, {})))
    }

    assert differing == {}


def test_the_code_knows_who_serves_which_queue() -> None:
    served = {name: queues_in(line) for name, line in procfile().items()}

    assert {name: sorted(queues) for name, queues in READERS.items()} == {
        name: sorted(queues) for name, queues in served.items() if queues
    }


def test_slow_waits_have_a_worker_of_their_own() -> None:
    beside = [
        queues_in(line)
        for line in procfile().values()
        if Queue.NOTIFICATIONS.value in queues_in(line)
    ]

    assert beside == [[Queue.NOTIFICATIONS.value]]


def test_routes_lead_to_known_queues() -> None:
    named = {route["queue"] for route in ROUTES.values()}

    assert named <= set(QUEUES)


def test_every_module_with_tasks_is_known_to_the_workers() -> None:
    # A worker refuses what it does not know: the row would be dead at its first try.
    with_tasks = {
        source.name.removesuffix(".py").replace("/", ".")
        for source in ours()
        if source.name.startswith("tasks/") and "\n@app.task" in source.text
    }

    assert with_tasks == set(TASK_MODULES)
    assert with_tasks <= set(MODULE_QUEUES)
