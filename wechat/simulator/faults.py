"""Faults on demand: which call of which path goes wrong, and how.

`control` adds and removes them; `engine` asks once per call that has arrived.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

Mode = Literal[
    "error",
    "delay",
    "stall",
    "reset",
    "accept_then_reset",
    "accept_then_stall",
    "half_json",
    "http500",
]
MODES: Final[tuple[str, ...]] = get_args(Mode)


@dataclass(slots=True)
class Fault:
    """One scripted fault; without ``times`` it stays until it is deleted.

    ``every`` n strikes each nth call of the path; ``delay_ms`` is waited first,
    whatever the mode.
    """

    fault_id: str
    path: str
    mode: Mode
    errcode: int = -1
    delay_ms: int = 0
    times: int | None = None
    every: int = 1
    seen: int = 0

    def strikes(self) -> bool:
        """Count this call and tell whether it is one of those to go wrong."""
        self.seen += 1
        if self.seen % self.every:
            return False
        if self.times is not None:
            self.times -= 1
        return True


class Faults:
    """The faults by path, in the order they were added."""

    def __init__(self) -> None:
        self._by_path: dict[str, list[Fault]] = {}

    def add(self, fault: Fault) -> None:
        """Put a fault behind those the path already has."""
        self._by_path.setdefault(fault.path, []).append(fault)

    def clear(self, fault_id: str | None = None) -> None:
        """Delete one fault, or all."""
        if fault_id is None:
            self._by_path.clear()
            return
        for path, faults in list(self._by_path.items()):
            self._keep(path, [f for f in faults if f.fault_id != fault_id])

    def pick(self, path: str) -> Fault | None:
        """Return the fault that strikes this call of ``path``, if one does."""
        faults = self._by_path.get(path)
        if not faults:
            return None
        found = next((fault for fault in faults if fault.strikes()), None)
        if found is not None and found.times == 0:
            self._keep(path, [f for f in faults if f is not found])
        return found

    def _keep(self, path: str, faults: list[Fault]) -> None:
        if faults:
            self._by_path[path] = faults
        else:
            self._by_path.pop(path, None)
