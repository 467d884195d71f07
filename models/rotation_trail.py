"""The last rotations of a session: repeats in their grace are answered from them.

A short text of `generation:when` (epoch ms), oldest first. `rotate_session.lua` keeps
one in the copy of Redis, `models/sessions.py` one in the row; restoring a copy takes
it along.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

# A phone that lost its answers is one or two behind. Who rotates more often within
# one grace loses the oldest: to use it is reuse.
TRAIL_LENGTH: Final = 8
# Characters of the longest one: 8 pairs of 16 digits and 13, and their marks.
TRAIL_TEXT: Final = 300


def read_trail(text: str | None) -> dict[int, int]:
    """Return when each generation was made."""
    pairs = (item.split(":") for item in (text or "").split())
    return {int(generation): int(at) for generation, at in pairs}


def write_trail(made: Mapping[int, int], *, after: int) -> str:
    """Return the text of the newest of what was ``made`` after then (epoch ms)."""
    kept = [f"{item}:{made[item]}" for item in sorted(made) if made[item] > after]
    return " ".join(kept[-TRAIL_LENGTH:])
