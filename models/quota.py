"""What a limit leaves to its caller; every answer that was counted tells it."""

from __future__ import annotations

from typing import NamedTuple


class Quota(NamedTuple):
    """The bucket nearest to its end; ``reset_s`` is until it is full again."""

    limit: int
    remaining: int
    reset_s: int
