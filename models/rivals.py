"""What the database says when a row is not taken, sorted by what may be done about it.

A rival that wrote first: roll back, run again and find the work done. A value that
fits nowhere: no repeat helps. Neither is the fault of a missing table or server.
"""

from __future__ import annotations

from sqlalchemy.exc import DataError, IntegrityError, OperationalError

# Two copies of a message met at one key (or two users did: then it stays so).
RIVAL_WROTE: tuple[type[Exception], ...] = (IntegrityError,)
# An operational error that `models/database.py` lets through is about a value.
VALUE_REFUSED: tuple[type[Exception], ...] = (
    DataError,
    IntegrityError,
    OperationalError,
    OverflowError,
    UnicodeError,
)
