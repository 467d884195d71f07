"""Starting and stopping: clear words, no orphans, running work finished first."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from config.clock import monotonic
from tests.servers.house import LISTENERS, READY_S, STOP_S, House
from tests.servers.process import port_answers

if TYPE_CHECKING:
    from pathlib import Path


def test_stop_signal_ends_everything_in_time(tmp_path: Path) -> None:
    house = House(tmp_path)
    try:
        house.start()
        house.login()
        started = monotonic()
        house.stop()
        spent = monotonic() - started

        assert spent <= STOP_S
        assert house.alive() == []
        assert [p for p in house.ports.values() if port_answers(p)] == []
        assert list((house.var / "run").glob("*.pid")) == []
        assert not house.is_ready()
    finally:
        house.end()


def test_second_start_keeps_secrets_and_users(tmp_path: Path) -> None:
    first = House(tmp_path)
    try:
        first.start()
        user_id = first.login(first.wechat.user(openid="o-again")["openid"]).data[
            "user"
        ]["id"]
        first.wait_enriched(user_id)
        first.stop()
        second = House(tmp_path)
        second.start()
        openid = second.wechat.user(openid="o-again")["openid"]

        again = second.login(openid).data["user"]["id"]

        assert again == user_id
        second.wait_enriched(user_id, logins=2)
        second.end()
    finally:
        first.end()


@pytest.mark.parametrize("listener", ["web", "flower"])
def test_taken_port_is_one_clear_line(tmp_path: Path, listener: str) -> None:
    house = House(tmp_path)
    with socket.socket() as rival:
        rival.bind(("127.0.0.1", house.ports[listener]))
        rival.listen()
        house.runner.start()
        try:
            status = house.runner.wait(READY_S)
            said = house.output.read_text()
        finally:
            house.end()

    assert status != 0
    assert "Traceback" not in said
    lines = [line for line in said.splitlines() if str(house.ports[listener]) in line]
    assert len(lines) == 1
    assert LISTENERS[listener] in lines[0]
    assert house.alive() == []


def test_wrong_settings_are_told_all_at_once(tmp_path: Path) -> None:
    house = House(tmp_path, ACCESS_TOKEN_S="0", RATE_LIMITS="nonsense")
    house.runner.start()
    try:
        status = house.runner.wait(READY_S)
        said = house.output.read_text()
    finally:
        house.end()

    assert status != 0
    assert "Traceback" not in said
    assert "ACCESS_TOKEN_S" in said
    assert "RATE_LIMITS" in said
