"""How many connections a process may hold: as many as it may open files.

`config/gunicorn.py` lifts the limit of its workers; `web/services/event_hub.py` asks
what fits, so that listeners leave room whatever the machine allows.
"""

from __future__ import annotations

import resource
from contextlib import suppress

# Databases, Redis, WeChat, logs and libraries of a process.
OWN_FILES = 256


def lift_limit(connections: int) -> None:
    """Raise this process's soft limit of open files for so many ``connections``.

    Many systems begin at 1024 for the sake of programs that use `select`.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + OWN_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        # Some systems refuse what they said they allow.
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def fitting(connections: int) -> int:
    """Return how many of ``connections`` the limit of open files lets this process."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return connections
    return min(connections, max(1, soft - OWN_FILES))
