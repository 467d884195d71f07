"""Ids of guests: random, and known by their first letter from those of WeChat.

A guest that logs in keeps its id, so the letter says how somebody began. Whether they
are a guest still says their row; one without a row never was anything else.
"""

from __future__ import annotations

import os
from typing import Final

PREFIX: Final = "g_"
RANDOM_BYTES: Final = 13


def new_guest_id() -> str:
    """Return an id nobody can guess, of the length of every user id."""
    return PREFIX + os.urandom(RANDOM_BYTES).hex()


def began_as_guest(user_id: str) -> bool:
    """Whether the user began as a guest."""
    return user_id.startswith(PREFIX)
