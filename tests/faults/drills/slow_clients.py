"""P17: clients that dawdle with headers, body or reading do not slow anybody else."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from config.clock import monotonic, sleep
from tests.faults.drill import Drill, Findings
from tests.faults.loads.load import Load
from tests.faults.loads.patches import Patches

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.faults.ground import Ground

CLOSED_S, P99_MS = 20, 500
BODY = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 4000\r\n\r\n"  # noqa: E501 - a head as it travels
HEADS = {
    "header": b"GET /api/hello HTTP/1.1\r\nHost: a\r\nX-Slow: ",
    "body": BODY,
    "read": b"GET /api/hello HTTP/1.1\r\nHost: a\r\n\r\n",
}


class Dawdler(threading.Thread):
    """One slow client: a byte each second, and a new connection for each closed one."""

    def __init__(self, port: int, kind: str, until: float) -> None:
        super().__init__(daemon=True)
        self.kind = kind
        # How long the server bore each connection; the last may outlast `until`.
        self.borne_s: list[float] = []
        self._port, self._until = port, until

    def run(self) -> None:
        """Dawdle until the time is up."""
        while monotonic() < self._until:
            self.borne_s.append(self._dawdle())

    def _dawdle(self) -> float:
        start = monotonic()
        with suppress(OSError), self._connect() as link:
            link.sendall(HEADS[self.kind])
            while monotonic() - start < CLOSED_S * 2 and not self._gone(link):
                sleep(1)
                if self.kind != "read":
                    link.sendall(b" ")
        return monotonic() - start

    def _connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self._port), timeout=5)

    @staticmethod
    def _gone(link: socket.socket) -> bool:
        link.settimeout(0.01)
        try:
            # A refusal in words comes before the end of the connection.
            return link.recv(4096) == b""
        except TimeoutError:
            return False


def run(ground: Ground, findings: Findings, counts: Mapping[str, int]) -> None:
    """Let them dawdle together while others change their profile."""
    patches, port, kinds = Patches(ground), ground.stack.ports["web"], list(HEADS)
    until = monotonic() + counts["seconds"]
    slow = [Dawdler(port, kinds[n % 3], until) for n in range(counts["clients"])]
    with Load(patches, rate=20) as load:
        for one in slow:
            one.start()
        sleep(counts["seconds"])
    for one in slow:
        one.join(CLOSED_S * 3)
    longest = {kind: max(max(one.borne_s, default=0) for one in slow
                         if one.kind == kind) for kind in kinds}  # fmt: skip
    late = {kind: seconds for kind, seconds in longest.items() if seconds > CLOSED_S}
    findings.expect(not late, f"they were borne for {late} s")
    findings.expect(load.tally.p99_ms <= P99_MS, f"p99 was {load.tally.p99_ms:.0f} ms")
    findings.expect(load.tally.share == 100, f"{load.tally.refusals()}")
    findings.figures.update(
        slow_clients=f"{len(slow)} at all times for {counts['seconds']} s",
        connections=sum(len(one.borne_s) for one in slow),
        closed_after_s={kind: round(seconds, 1) for kind, seconds in longest.items()},
        others=f"{load.tally.accepted}/{len(load.tally.seen)} accepted",
        others_p50_ms=round(load.tally.p50_ms),
        others_p99_ms=round(load.tally.p99_ms),
    )


DRILL = Drill(
    name="slow-clients",
    promise="P17",
    does="slow connections, a third each with headers, bodies and idle after an answer",
    rule="the others' p99 <= 500 ms, each slow one closed within 20 s",
    run=run,
    full={"clients": 200, "seconds": 60},
    processes=("wechat", "web"),
    alone=True,
)
