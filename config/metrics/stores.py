"""What is counted of SQL, Redis and the caches in it."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge

DATABASE_CONNECTIONS_LOST: Final = Counter(
    "kuaida_database_connections_lost",
    "Connections to SQL that broke while they were in use.",
)
DATABASE_CUT: Final = Counter(
    "kuaida_database_cut",
    "Waits for SQL that were cut: by the caller's deadline before a statement (late), "
    "within one (statement), for a lock or a connection (lock, pool), by our own "
    "limit of a statement (limit), or because the server said nothing (silent).",
    ("stage",),
)
REDIS_FAILURES: Final = Counter(
    "kuaida_redis_failures", "Calls without a usable reply, by cause.", ("cause",)
)
REDIS_GREETINGS_REFUSED: Final = Counter(
    "kuaida_redis_greetings_refused",
    "Connections on which Redis would not say which server it is: SQL is asked then.",
)
REDIS_BREAKER_OPEN: Final = Gauge(
    "kuaida_redis_breaker_open",
    "1 while Redis is not asked because it failed repeatedly.",
    multiprocess_mode="livemax",
)
CACHE: Final = Counter(
    "kuaida_cache",
    "Cache reads: hit, miss, negative, error.",
    ("cache", "outcome"),
)

# Present from the start: see the package.
for _stage in ("late", "statement", "lock", "pool", "limit", "silent"):
    DATABASE_CUT.labels(_stage)
