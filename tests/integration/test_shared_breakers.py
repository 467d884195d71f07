"""Processes of one deployment agree on which WeChat path is shut, over real Redis."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from config.clock import Deadline, monotonic, sleep
from models.stores.container import open_stores
from tests.servers.process import wait_until
from wechat.errors import BreakerOpen, WeChatError, WeChatLied
from wechat.gateway import Gateway, open_gateway
from wechat.simulator.state import SimApp, SimState
from wechat.simulator.transport import SimulatedTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from config.settings import Settings
    from models.stores.container import Stores
    from models.stores.lane import Argument, Reply
    from tests.servers.redis_server import RedisServer

    Commands = Sequence[tuple[Argument, ...]]

LOGIN = "/sns/jscode2session"
FAILURES = 3
# Longer than a machine may stand still between two steps of a test.
OPEN_S = 5.0
QUICK = {
    "WECHAT_BREAKER_FAILURES": str(FAILURES),
    "WECHAT_BREAKER_OPEN_S": str(OPEN_S),
    "REDIS_TIMEOUT_S": "5",
    "REDIS_BREAKER_OPEN_S": "0.2",
}


class Deployment:
    """Some processes: each with its own stores and breakers, before one WeChat."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        app = settings.wechat.apps[0]
        simulated = SimApp(app.app_id, app.secret.get_secret_value())
        self.wechat = SimulatedTransport(SimState([simulated], seed=7))
        self.opened: list[Stores] = []

    def process(self) -> Gateway:
        self.opened.append(open_stores(self.settings))
        stores = self.opened[-1]
        return open_gateway(self.settings, stores, transport=self.wechat)

    def fault(self, mode: str) -> None:
        self.wechat.control("POST", "/_sim/faults", {"path": LOGIN, "mode": mode})

    def heal(self) -> None:
        self.wechat.control("DELETE", "/_sim/faults")

    def calls(self) -> int:
        return self.wechat.state.calls[LOGIN]


def login(gateway: Gateway) -> str:
    """Return how one login of a code nobody knows ends."""
    try:
        gateway.code2session(
            gateway.app_ids[0], "c", deadline=Deadline.after_ms(60_000)
        )
    except WeChatError as error:
        return error.label
    return "0"


def break_path(gateway: Gateway) -> None:
    for _ in range(FAILURES):
        assert login(gateway) == WeChatLied.label


@pytest.fixture
def deployment(
    private_redis: RedisServer, make_settings: Callable[..., Settings]
) -> Iterator[Deployment]:
    made = Deployment(make_settings(REDIS_URL=private_redis.url, **QUICK))
    yield made
    for stores in made.opened:
        stores.close()


def test_what_one_process_finds_broken_is_shut_for_all_and_opened_by_one_probe(
    deployment: Deployment,
) -> None:
    finder, others = deployment.process(), [deployment.process() for _ in range(3)]
    deployment.fault("http500")
    for other in others:
        # They have called before, and know nothing bad of the path.
        assert login(other) == WeChatLied.label
    break_path(finder)
    sleep(deployment.settings.wechat.breaker_share_s)

    before = deployment.calls()
    assert [login(other) for other in others] == [BreakerOpen.label] * 3
    assert deployment.calls() == before

    deployment.heal()
    wait_until(lambda: login(others[0]) == "40029", within_s=60, what="a good probe")
    sleep(deployment.settings.wechat.breaker_share_s)
    assert {login(one) for one in [finder, *others]} == {"40029"}


def test_one_probe_at_a_time_among_all_processes(deployment: Deployment) -> None:
    processes = [deployment.process() for _ in range(4)]
    deployment.fault("http500")
    break_path(processes[0])
    assert [login(one) for one in processes] == [BreakerOpen.label] * 4
    sleep(OPEN_S)
    before = deployment.calls()
    start = threading.Barrier(8)

    def knock(gateway: Gateway) -> str:
        start.wait(60)
        return login(gateway)

    with ThreadPoolExecutor(8) as pool:
        told = sorted(pool.map(knock, processes * 2))

    assert told == [BreakerOpen.label] * 7 + [WeChatLied.label]
    assert deployment.calls() == before + 1


def test_without_redis_each_process_has_a_breaker_of_its_own(
    deployment: Deployment, private_redis: RedisServer
) -> None:
    finder, other = deployment.process(), deployment.process()
    deployment.fault("http500")
    private_redis.stop()

    break_path(finder)

    assert login(finder) == BreakerOpen.label
    break_path(other)
    assert login(other) == BreakerOpen.label
    deployment.heal()
    wait_until(lambda: login(finder) == "40029", within_s=60, what="its own probe")


def test_a_probe_that_is_due_at_once_waits_for_no_rounding(stores: Stores) -> None:
    # Many, so that some of them surely fall into the later half of a millisecond.
    for number in range(100):
        stores.shut_paths.shut(f"/{number}", 0)
        assert stores.shut_paths.take_probe(f"/{number}", 60) == 0


def test_a_probe_whose_process_died_frees_its_place(stores: Stores) -> None:
    shut = stores.shut_paths
    shut.shut("/held", 0)
    shut.shut("/freed", 0)

    assert (shut.take_probe("/held", 60), shut.take_probe("/freed", 0.2)) == (0, 0)

    waits = shut.take_probe("/held", 60)
    assert waits is not None
    assert 0 < waits <= 60
    wait_until(
        lambda: shut.take_probe("/freed", 60) == 0, within_s=60, what="the place"
    )


def test_a_look_costs_one_round_trip_in_a_while(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = deployment.process()
    pipeline = deployment.opened[0].redis
    asked: list[Commands] = []
    ask = pipeline.execute_many

    def count(commands: Commands) -> list[Reply]:
        asked.append(commands)
        return ask(commands)

    monkeypatch.setattr(pipeline, "execute_many", count)
    began = monotonic()
    for _ in range(500):
        login(gateway)
    looks = (monotonic() - began) / deployment.settings.wechat.breaker_share_s

    assert 1 <= len(asked) <= looks + 1
