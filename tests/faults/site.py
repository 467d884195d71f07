"""Where drills run: one MariaDB for those that leave it whole, a folder for each."""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from config.clock import monotonic
from tests.faults.drill import Findings
from tests.faults.ground import Ground
from tests.servers.mariadb_server import MariaDbServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from types import TracebackType

    from tests.faults.drill import Drill

NUMBERS = itertools.count(1)


class Site:
    """Opens a ground for each drill, over the shared database server or its own."""

    def __init__(self, folder: Path, seed: str) -> None:
        self.folder = folder
        self.seed = seed
        self._shared = MariaDbServer(folder / "sql", durable=True)

    def __enter__(self) -> Self:
        """Start the shared database server."""
        self._shared.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it."""
        self._shared.stop()

    @contextmanager
    def ground(self, drill: Drill, **more: str) -> Iterator[Ground]:
        """Open a ground, and end it whatever happens; the drill's settings win."""
        folder = self.folder / f"{drill.name}-{next(NUMBERS)}"
        own = MariaDbServer(folder / "sql", durable=True) if drill.own_sql else None
        if own is not None:
            own.start()
        ground = Ground(
            folder,
            own or self._shared,
            seed=f"{self.seed}:{drill.name}",
            drill=drill,
            settings={**more, **drill.settings},
        )
        try:
            ground.open(*drill.processes)
            yield ground
        finally:
            ground.close()
            if own is not None:
                own.stop()

    def run(
        self, drill: Drill, counts: Mapping[str, int], **more: str
    ) -> tuple[Findings, float]:
        """Run one drill; an error of the drill itself is a broken rule too."""
        findings, start = Findings(), monotonic()
        try:
            with self.ground(drill, **more) as ground:
                drill.run(ground, findings, counts)
        except Exception as error:  # noqa: BLE001 - one broken drill must not hide the rest
            findings.broken.append(f"{type(error).__name__}: {error}")
        return findings, monotonic() - start
