"""Whether a fault shows: the named figures of `/metrics`, watched while it lasts."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

import urllib3

from config.clock import monotonic
from tests.servers.http import call

if TYPE_CHECKING:
    from types import TracebackType

    from tests.faults.drill import Findings
    from tests.faults.ground import Ground

WITHIN_S = 30.0
EVERY_S = 1.0


def scrape(ground: Ground) -> dict[str, float]:
    """Return each sample of the internal listener; nothing when it does not answer."""
    try:
        page = call("GET", f"{ground.stack.url('ops')}/metrics").body.decode()
    except urllib3.exceptions.HTTPError:
        return {}
    samples = {}
    for line in page.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            samples[name] = float(value)
    return samples


class Alarm:
    """Watches the samples that begin with ``prefix``: how soon one of them moves.

    ``seconds`` is None when none did within the time.
    """

    def __init__(self, ground: Ground, prefix: str) -> None:
        self.prefix = prefix
        self.seconds: float | None = None
        self._ground = ground
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._before = self._figures(scrape(self._ground))
        self._start = monotonic()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._thread.join(10)

    def tell(self, findings: Findings) -> None:
        """Write the delay down; a fault that shows nowhere breaks P25."""
        shown = self.seconds is not None and self.seconds <= WITHIN_S
        findings.expect(shown, f"P25: {self.prefix} did not move within 30 s")
        if self.seconds is not None:
            findings.figures[f"alarm {self.prefix}"] = f"{self.seconds:.1f} s"

    def _watch(self) -> None:
        while not self._stopping.wait(EVERY_S):
            now = self._figures(scrape(self._ground))
            if now and now != self._before:
                self.seconds = monotonic() - self._start
                return

    def _figures(self, samples: dict[str, float]) -> dict[str, float]:
        return {k: v for k, v in samples.items() if k.startswith(self.prefix)}
