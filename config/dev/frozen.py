"""Which process is frozen: its sign of life no longer changes, look after look.

Asked by `config/dev/supervisor`; who leaves the files is `workers/health.py`. Looks
are counted and no ages read: a stepped clock or a machine that slept makes every file
old at once, but leaves everybody the time to touch it again.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from config.clock import monotonic

LOOK_EVERY_S = 1.0


@dataclass(slots=True)
class Sign:
    """What was last seen of one file; ``given`` once this process has touched it."""

    path: Path
    changed_ns: int | None
    given: bool = False
    looks: int = 0

    def look(self) -> int:
        """Return the looks in a row that saw nothing new.

        0 before the first sign: a start may wait for a store as long as it takes.
        """
        now_ns = _changed_ns(self.path)
        if now_ns != self.changed_ns:
            self.changed_ns, self.given, self.looks = now_ns, True, 0
        elif self.given and now_ns is not None:
            self.looks += 1
        return self.looks


class FrozenWatch:
    """The signs of all started processes; those that leave none are not judged."""

    def __init__(self, run_dir: Path, after_s: float) -> None:
        self._run_dir = run_dir
        self._patience = after_s / LOOK_EVERY_S
        self._signs: dict[str, Sign] = {}
        self._next_look_at = 0.0

    def started(self, name: str) -> None:
        """Begin anew: the file of the predecessor says nothing of this process."""
        path = self._run_dir / f"{name}.alive"
        self._signs[name] = Sign(path, _changed_ns(path))

    def frozen(self) -> list[str]:
        """Return who is frozen; looks at most once in `LOOK_EVERY_S`.

        Leaves ``<name>.frozen``, by which the next process counts the replacement.
        """
        now = monotonic()
        if now < self._next_look_at:
            return []
        self._next_look_at = now + LOOK_EVERY_S
        signs = self._signs.items()
        names = [name for name, sign in signs if sign.look() >= self._patience]
        for name in names:
            with suppress(OSError):
                (self._run_dir / f"{name}.frozen").touch()
        return names


def _changed_ns(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None
