"""A request that waits learns from its connection when waiting is in vain."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from config.clock import sleep
from tests.integration.raw_http import PATIENCE_S, Server, serving
from tests.servers.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path) as started:
        yield started
        started.hang_up()


def test_a_client_that_hangs_up_is_noticed_without_a_write(
    server: Server, tmp_path: Path
) -> None:
    sign = tmp_path / "sign"
    phone = server.phone().get(f"/patient?{sign}")
    wait_until(sign.exists, within_s=PATIENCE_S, what="the request waits")
    # Neither silence nor the next request on the line is an end.
    phone.get("/ignore")
    sleep(0.1)
    assert sign.read_text() == ""

    phone.socket.close()

    wait_until(sign.read_text, within_s=PATIENCE_S, what="the request notices")
    assert sign.read_text() == "gone"


def test_a_worker_that_leaves_tells_those_who_wait(
    server: Server, tmp_path: Path
) -> None:
    sign = tmp_path / "sign"
    phone = server.phone().get(f"/patient?{sign}")
    wait_until(sign.exists, within_s=PATIENCE_S, what="the request waits")

    server.process.signal(signal.SIGTERM)

    answer = phone.answer()
    assert (answer.status, answer.body) == (200, b"enough")
    assert answer.fields["connection"] == "close"
    assert sign.read_text() == "leaving"
