"""P17: clients that dawdle with headers, body or reading do not slow anybody else."""

from __future__ import annotations

import socket
import threading
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
    """One slow connection: a byte each second, until the server has closed it."""

    def __init__(self, port: int, kind: str) -> None:
        super().__init__(daemon=True)
        self.kind = kind
        self.closed_s: float | None = None
        self._link = socket.create_connection(("127.0.0.1", port), timeout=5)

    def run(self) -> None:
        """Dawdle and note when the server had enough."""
        start = monotonic()
        try:
            self._link.sendall(HEADS[self.kind])
            while monotonic() - start < CLOSED_S * 2:
                sleep(1)
                if self.kind != "read":
                    self._link.sendall(b" ")
                self._link.settimeout(0.01)
                if self._gone():
                    break
            else:
                return
        except OSError:
            pass
        self.closed_s = monotonic() - start

    def _gone(self) -> bool:
        try:
            # A refusal in words comes before the end of the connection.
            return self._link.recv(4096) == b""
        except TimeoutError:
            return False


def run(ground: Ground, findings: Findings, counts: Mapping[str, int]) -> None:
    """Let them dawdle together while others change their profile."""
    patches, port = Patches(ground), ground.stack.ports["web"]
    kinds = list(HEADS)
    slow = [Dawdler(port, kinds[n % 3]) for n in range(counts["clients"])]
    with Load(patches, rate=20) as load:
        for one in slow:
            one.start()
        sleep(counts["seconds"])
    for one in slow:
        one.join(CLOSED_S * 3)
    closed = [one.closed_s for one in slow if one.closed_s is not None]
    findings.expect(len(closed) == len(slow), f"{len(slow) - len(closed)} stayed open")
    late = max(closed, default=0)
    findings.expect(late <= CLOSED_S, f"one was open for {late:.0f} s")
    findings.expect(load.tally.p99_ms <= P99_MS, f"p99 was {load.tally.p99_ms:.0f} ms")
    findings.expect(load.tally.share == 100, f"{load.tally.refusals()}")
    longest = {k: max((o.closed_s or 0 for o in slow if o.kind == k), default=0)
               for k in kinds}  # fmt: skip
    findings.figures.update(
        slow_clients=len(slow),
        closed_after_s={k: round(v, 1) for k, v in longest.items()},
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
    full={"clients": 200, "seconds": 25},
    processes=("wechat", "web"),
)
