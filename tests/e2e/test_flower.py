"""Flower: behind a login, read-only, and with nothing in it but ids."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

import pytest

from config.queues import Queue
from tests.servers.http import Answer, call
from tests.servers.process import wait_until

if TYPE_CHECKING:
    from tests.servers.house import House

# A stream id, an id of ours, a job's name, a number: nothing else is an argument.
PLAIN = re.compile(r"\d+-\d+|[a-z]{1,4}_[0-9a-v]{20,32}|[a-z_]+|\d+|None|True|False")


def flower(house: House, path: str, *, method: str = "GET") -> Answer:
    """Ask Flower with its login."""
    login = base64.b64encode(house.secret("flower_login").encode()).decode()
    head = {"Authorization": f"Basic {login}"}
    return call(method, house.url("flower") + path, headers=head)


@pytest.mark.parametrize("path", ["/", "/tasks", "/api/tasks", "/api/workers"])
def test_nobody_enters_without_the_login(house: House, path: str) -> None:
    assert call("GET", house.url("flower") + path).status == 401


def test_a_wrong_password_does_not_open(house: House) -> None:
    wrong = base64.b64encode(b"kuaida:guess").decode()
    head = {"Authorization": f"Basic {wrong}"}

    assert call("GET", house.url("flower") + "/", headers=head).status == 401


def test_workers_are_shown(house: House) -> None:
    def missing() -> list[str]:
        page = flower(house, "/workers").body.decode()
        return [
            name for name in ("worker", "notifier", "bulk") if f"{name}@" not in page
        ]

    # It listens before the workers have answered what it asks them at its start.
    wait_until(lambda: not missing(), within_s=60, what="all workers in Flower")


def test_every_queue_is_shown_from_the_start(house: House) -> None:
    def missing() -> list[Queue]:
        page = re.sub(r"\s+", "", flower(house, "/broker").body.decode())
        return [queue for queue in Queue if f">{queue}<" not in page]

    wait_until(lambda: not missing(), within_s=60, what="all queues in Flower")


def test_tasks_are_shown_with_ids_only(house: House) -> None:
    house.login()

    def shown() -> list[dict[str, object]]:
        tasks = flower(house, "/api/tasks?limit=200").json.values()
        return [task for task in tasks if task["name"] == "tasks.logins.enrich_logins"]

    wait_until(shown, within_s=60, what="enrichment in Flower")
    odd = [
        word
        for task in flower(house, "/api/tasks?limit=200").json.values()
        for field in ("args", "kwargs", "result")
        for word in re.findall(r"[^\s'\"\[\](){},:]+", str(task[field] or ""))
        if not PLAIN.fullmatch(word)
    ]

    assert odd == []


def test_flower_only_looks(house: House) -> None:
    worker = next(iter(flower(house, "/api/workers?refresh=1").json))
    stop = flower(house, f"/api/worker/shutdown/{worker}", method="POST")

    assert stop.status in {403, 404, 405}
