"""Settings for a machine that may stand still for seconds: no limit ends a step early.

What the tests start in their own process begins with them, and so do the stacks that
prove something about work. A test about a limit sets its own.
"""

from __future__ import annotations

from typing import Final

PATIENT: Final = {
    "DEFAULT_TIMEOUT_MS": "30000",
    "DATABASE_CONNECT_TIMEOUT_S": "20",
    "DATABASE_LOCK_WAIT_S": "20",
    "DATABASE_POOL_WAIT_S": "20",
    "DATABASE_READ_TIMEOUT_S": "25",
    "DATABASE_STATEMENT_TIMEOUT_S": "20",
    "REDIS_CONNECT_TIMEOUT_S": "20",
    "REDIS_POOL_WAIT_S": "20",
    "REDIS_TIMEOUT_S": "20",
}
