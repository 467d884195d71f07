"""A main process that is killed comes back, and what was accepted is not lost."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.servers.http import call
from tests.servers.process import port_answers, wait_until

if TYPE_CHECKING:
    from tests.servers.house import House

BACK_S = 60


def kill_main(house: House, process: str) -> int:
    """Kill a process's main without warning and return its old id."""
    old = house.pid(process)
    os.kill(old, signal.SIGKILL)
    return old


def wait_back(house: House, process: str, old: int, within_s: float = BACK_S) -> None:
    """Wait for another main process of the same name."""

    def back() -> bool:
        try:
            new = house.pid(process)
            os.kill(new, 0)
        except (OSError, ValueError):
            return False
        return new != old

    wait_until(back, within_s=within_s, what=f"{process} is back")


@pytest.mark.parametrize("process", ["worker", "relay"])
def test_killed_consumer_comes_back_and_loses_nothing(
    house: House, process: str
) -> None:
    openid = house.wechat.user()["openid"]
    old = kill_main(house, process)

    logins = [house.login(openid).data for _ in range(20)]

    wait_back(house, process, old)
    house.wait_enriched(logins[0]["user"]["id"], logins=20, within_s=60)


def test_killed_web_comes_back(house: House) -> None:
    token = house.login().data["access_token"]
    old = kill_main(house, "web")

    wait_back(house, "web", old)

    wait_until(
        lambda: port_answers(house.ports["web"]), within_s=BACK_S, what="web listens"
    )
    wait_until(
        lambda: call("GET", house.url("web") + "/healthz").status == 200,
        within_s=60,
        what="web answers",
    )
    assert house.api("GET", "/me", token=token).status == 200


def test_killed_web_child_is_replaced(house: House) -> None:
    children = house.children(house.pid("web"))
    os.kill(children[0], signal.SIGKILL)

    def replaced() -> bool:
        now = house.children(house.pid("web"))
        return len(now) == len(children) and children[0] not in now

    wait_until(replaced, within_s=60, what="a new web process")


def test_killed_flower_and_beat_come_back(house: House) -> None:
    for process in ("flower", "beat"):
        wait_back(house, process, kill_main(house, process))
