"""Answers `not_found`, counted by user until the user's next request carries them.

So admission learns of them without a round trip of their own. What this process has
not passed on when it ends, or has no room for, is lost: a scan has more of them.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final

# Users with a count that no further request has fetched; 10,000 are about 1 MB.
MOST_USERS: Final = 10_000


class Misses:
    """A count a user, the longest untouched dropped first."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._counts: OrderedDict[str, int] = OrderedDict()

    def note(self, user_id: str) -> None:
        """Count one; nothing for a caller without a name."""
        if not user_id:
            return
        with self._mutex:
            self._counts[user_id] = self._counts.pop(user_id, 0) + 1
            if len(self._counts) > MOST_USERS:
                self._counts.popitem(last=False)

    def take(self, user_id: str) -> int:
        """Return the user's count and begin anew."""
        # A look without the lock: nearly nobody has any.
        if user_id not in self._counts:
            return 0
        with self._mutex:
            return self._counts.pop(user_id, 0)
