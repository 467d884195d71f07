"""What one request adds to the figures of behaviour, as `admit_request.lua` takes it.

`models/stores/admission.py` passes it on; `models/stores/behaviour.py` reads the sums.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

if TYPE_CHECKING:
    from config.risk_settings import RiskSettings
    from models.stores.keys import Keys
    from models.stores.lane import Argument

# Kept as a 32-bit float, which is exact up to here.
HIGHEST_MARK = 0xFFFFFF


class Step(NamedTuple):
    """What one request adds: where it goes, and what went wrong before it.

    ``route`` is the template; ``rhythm`` is False where waiting is the client's wish;
    ``misses`` are answers ``not_found`` since the request before.
    """

    route: str = ""
    rhythm: bool = False
    misses: int = 0


NO_STEP = Step()


class FigureArguments:
    """What `admit_request.lua` is told about behaviour."""

    def __init__(self, keys: Keys, risk: RiskSettings, *, on: bool) -> None:
        self._keys = keys
        self._window_ms = risk.window_s * 1000
        self._dials = (risk.busy, risk.waiting_most)
        self._on = on

    def keys(self, user: str, device: str) -> tuple[str, str, str]:
        """Return the keys of both figures and of the busy ones."""
        names = self._keys
        user_key, device_key = (
            names.figures("user", user),
            names.figures("device", device),
        )
        return user_key, device_key, names.busy

    def arguments(self, user: str, device: str, step: Step) -> tuple[Argument, ...]:
        """Return the arguments from the window on; a window of 0 keeps nothing."""
        window_ms = self._window_ms if self._on and step.route else 0
        route = _mark(step.route), int(step.rhythm), step.misses
        return (window_ms, *self._dials, *route, device, _mark(user), _mark(device))


def _mark(name: str) -> int:
    """Return a short mark of a name, 0 for none; two of them may be equal."""
    return crc32(name.encode()) & HIGHEST_MARK if name else 0
