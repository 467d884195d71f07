"""How the success of a rival writer shows itself to whoever comes second.

Two copies of a message may write the same row at once: the slower one meets a key,
rolls back, and finds the work done when it runs again (`tasks/base.py`).
"""

from __future__ import annotations

from sqlalchemy.exc import IntegrityError

RIVAL_WROTE: tuple[type[Exception], ...] = (IntegrityError,)
