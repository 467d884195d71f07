"""A WeChat that stalls takes neither the web workers nor the connections of others."""

from __future__ import annotations

import json
import select
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from config.clock import Deadline
from tests.servers.fixtures import require
from tests.servers.house import CODE2SESSION, House
from tests.servers.phone import Phone
from tests.servers.redis_server import find_redis
from tests.servers.stack import Stack, answers, standing

if TYPE_CHECKING:
    from collections.abc import Iterator

STALLED = 400
POOL, SHARE = 64, 0.75
PLACES = int(POOL * SHARE)
# The threads gevent keeps for looking up host names.
RESOLVERS = 10
EXTRA_KB = 64_000


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    require(find_redis)
    folder = tmp_path_factory.mktemp("stalled")
    pool = {"WECHAT_POOL_SIZE": str(POOL), "WECHAT_PATH_SHARE": str(SHARE)}
    # The crowd waits until its own time is up, so that a busy machine gets that far.
    pool |= {"WECHAT_READ_TIMEOUT_S": "60", "DEFAULT_TIMEOUT_MS": "30000"}
    # One, so that it is known who is crowded.
    made = Stack(folder, WEB_PROCESSES="1", **pool)
    with standing(made, "wechat", "web"):
        yield made


class Crowd:
    """Many logins at once, each on a connection of its own; read when asked."""

    def __init__(self, port: int, size: int) -> None:
        self.lines = [self._login(port, number) for number in range(size)]

    @staticmethod
    def _login(port: int, number: int) -> socket.socket:
        body = json.dumps({"code": f"code-of-nobody-{number}"}).encode()
        line = socket.create_connection(("127.0.0.1", port), timeout=100)
        line.sendall(
            b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nX-Timeout-Ms: 30000\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (len(body), body)
        )
        return line

    def silent(self) -> int:
        """Return how many have no answer yet."""
        answered, _, _ = select.select(self.lines, [], [], 0)
        return len(self.lines) - len(answered)

    def wait(self, silent: int) -> None:
        """Wait until ``silent`` of them at most have no answer."""
        deadline = Deadline.after_ms(100_000)
        while self.silent() > silent:
            assert not deadline.expired, f"{self.silent()} logins without an answer"
            select.select([], [], [], 0.02)

    def reasons(self) -> dict[str, int]:
        """Read every answer and count the reasons."""
        found: dict[str, int] = {}
        for line in self.lines:
            reason = _reason(line)
            found[reason] = found.get(reason, 0) + 1
            line.close()
        return found


def _reason(line: socket.socket) -> str:
    received = b""
    while b"\r\n\r\n" not in received or not received.endswith(b"}"):
        received += line.recv(65536)
    told = json.loads(received.partition(b"\r\n\r\n")[2])
    if told["reason"] == "wechat_unavailable":
        assert told["retry_after_ms"] > 0
    return str(told["reason"])


def measure(stack: Stack, field: str) -> int:
    """Return a figure of /proc/<pid>/status of the web worker."""
    (pid,) = House.children(int((stack.var / "run" / "web.pid").read_text()))
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (found,) = [line for line in lines if line.startswith(f"{field}:")]
    return int(found.split()[1])


def test_hundreds_of_stalled_logins_leave_the_rest_of_the_house_alone(
    stack: Stack,
) -> None:
    phone = Phone(stack)
    assert phone.login().status == 200
    assert phone.me().status == 200
    threads, memory_kb = measure(stack, "Threads"), measure(stack, "VmRSS")
    stack.wechat.fault(CODE2SESSION, "stall")

    crowd = Crowd(stack.ports["web"], STALLED)
    # Those who found a place wait for WeChat; all the others have been refused.
    crowd.wait(silent=PLACES)

    for _ in range(20):
        assert phone.me().status == 200
        assert answers(f"{stack.url('web')}/healthz")
        assert phone.refresh().status == 200
    assert crowd.silent() == PLACES
    assert measure(stack, "Threads") <= threads + RESOLVERS
    assert measure(stack, "VmRSS") <= memory_kb + EXTRA_KB
    # The first one was the phone's.
    assert stack.wechat.calls(CODE2SESSION) == PLACES + 1

    crowd.wait(silent=0)
    assert crowd.reasons() == {
        "wechat_timeout": PLACES,
        "wechat_unavailable": STALLED - PLACES,
    }
