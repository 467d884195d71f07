"""The simulated WeChat and a client of it, for every test of this folder."""

from __future__ import annotations

import pytest

from tests.unit.wechat.doubles import APP_ID, SECRET, MemoryTokens, make_client
from wechat.client import WeChatClient
from wechat.simulator.state import SimApp, SimState
from wechat.simulator.transport import SimulatedTransport


@pytest.fixture
def sim() -> SimulatedTransport:
    """A simulated WeChat with the demo app and a second one, always the same."""
    apps = [SimApp(APP_ID, SECRET), SimApp("wxother", "other-secret")]
    return SimulatedTransport(SimState(apps, seed=7))


@pytest.fixture
def store() -> MemoryTokens:
    """An empty token shelf."""
    return MemoryTokens()


@pytest.fixture
def client(sim: SimulatedTransport, store: MemoryTokens) -> WeChatClient:
    """The demo app's client of the simulated WeChat."""
    return make_client(sim, store)


@pytest.fixture
def openid(sim: SimulatedTransport) -> str:
    """The openid of a user who exists."""
    made: str = sim.control("POST", "/_sim/users", {"phone": "13812348000"})["openid"]
    return made
