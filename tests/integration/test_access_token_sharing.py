"""The access token over the real Redis: processes that start together fetch once."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from config.clock import now_ms
from tests.unit.wechat.doubles import APP_ID, POLICY, SECRET, make_caller, soon
from wechat.access_token import AccessTokens
from wechat.errors import TokenStale
from wechat.simulator.state import SimApp, SimState
from wechat.simulator.transport import SimulatedTransport
from wechat.token_store import TokenPolicy

if TYPE_CHECKING:
    from models.stores.container import Stores

PATH = "/cgi-bin/stable_token"
# Whoever refreshes may take its time on a busy machine.
PATIENT = replace(POLICY, wait_s=60)


@pytest.fixture
def sim() -> SimulatedTransport:
    """A simulated WeChat that takes its time over a token."""
    made = SimulatedTransport(SimState([SimApp(APP_ID, SECRET)]))
    fault = {"path": PATH, "mode": "delay", "delay_ms": 20}
    made.control("POST", "/_sim/faults", fault)
    return made


def process(
    sim: SimulatedTransport, stores: Stores, policy: TokenPolicy = POLICY
) -> AccessTokens:
    """Return what each process holds: its own memory over the shared store."""
    caller = make_caller(sim)
    app = (APP_ID, SECRET)
    return AccessTokens(app, caller, stores.access_tokens, policy=policy)


def fetches(sim: SimulatedTransport) -> int:
    return int(sim.control("GET", "/_sim/calls")["calls"].get(PATH, 0))


def test_processes_that_start_together_fetch_one_token(sim, stores) -> None:
    found: list[str] = []
    threads = [
        threading.Thread(
            target=lambda: found.append(process(sim, stores, PATIENT).get(soon()))
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 8
    assert len(set(found)) == 1
    assert fetches(sim) == 1


def test_what_one_process_healed_the_others_find(sim, stores) -> None:
    first, second = process(sim, stores), process(sim, stores)
    old = first.get(soon())
    assert second.get(soon()) == old
    refused = TokenStale("/p", 40001, "")

    healed = first.heal(refused, old, soon())

    assert second.heal(refused, old, soon()) == healed != old
    assert fetches(sim) == 3


def test_forced_refreshes_of_all_processes_keep_the_gap_together(sim, stores) -> None:
    first, second = process(sim, stores), process(sim, stores)
    refused = TokenStale("/p", 40001, "")
    healed = first.heal(refused, first.get(soon()), soon())
    asked = fetches(sim)

    with pytest.raises(TokenStale):
        second.heal(refused, healed, soon())

    assert fetches(sim) == asked


def test_an_older_fence_does_not_overwrite_a_newer_token(stores) -> None:
    shelf, ends = stores.access_tokens, now_ms() + 7_200_000
    older = shelf.lease(APP_ID, 300)
    assert shelf.lease(APP_ID, 300) is None
    shelf.release(APP_ID, older)
    newer = shelf.lease(APP_ID, 300)

    assert shelf.save(APP_ID, "newer", ends, newer)
    assert not shelf.save(APP_ID, "older", ends, older)

    assert shelf.load(APP_ID).token == "newer"
