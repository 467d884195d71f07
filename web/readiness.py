"""`/readyz`: each part with its state; ready while at least one store answers.

Either store alone keeps people logged in, so one that is away is told, not fatal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from flask import request

from config.clock import MS_PER_S, now_ms
from models.database_facts import current_revision, head_revision
from models.errors import DeadlinePassed, Unavailable
from web.answers import REST
from web.bounded_read import LOOK_S, BoundedReads, NoAnswer
from web.errors import Refusal
from web.services.shared_gauges import read_gauge
from web.visit import visit_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flask import Flask

    from models.database import Database
    from models.stores.container import Stores
    from web.answers import Answer

PATH: Final = "/readyz"
RETRY_MS: Final = 1000
# The relay touches its file each second or so; a silence of this length is a fault.
RELAY_SILENCE_S: Final = 30


class Part(msgspec.Struct):
    """One part: whether it is well, and what there is to say about it."""

    ok: bool
    detail: str = ""


class Readiness:
    """Looks at the parts; each look is bounded in time."""

    def __init__(
        self,
        stores: Callable[[], Stores],
        database: Callable[[], Database],
        relay_heartbeat: Path,
    ) -> None:
        self._stores = stores
        self._database = database
        self._relay_heartbeat = relay_heartbeat
        self._reads = BoundedReads()

    def parts(self) -> dict[str, Part]:
        """Return every part by name."""
        redis, database = (
            self._look("redis", self._redis),
            self._look("database", self._sql),
        )
        return {
            "redis": redis,
            "database": database,
            "migrations": self._migrations(database),
            "relay": self._relay(),
            "wechat": wechat_part(),
        }

    def _look(self, name: str, read: Callable[[], Part]) -> Part:
        try:
            return self._reads.look(name, read)
        except (NoAnswer, DeadlinePassed):
            # Not said to be away: right after a start, on a busy machine, it is us.
            return Part(ok=False, detail=f"no answer within {LOOK_S:g} s")
        except Unavailable as error:
            return Part(ok=False, detail=f"away: {type(error).__name__}")

    def _migrations(self, database: Part) -> Part:
        if not database.ok:
            # A second wait for it would tell nothing new.
            return Part(ok=False, detail="not known without the database")
        return self._look("migrations", self._schema)

    def _redis(self) -> Part:
        self._stores().ping()
        return Part(ok=True)

    def _sql(self) -> Part:
        self._database().ping()
        return Part(ok=True)

    def _schema(self) -> Part:
        with self._database().read() as session:
            current = current_revision(session)
        head = head_revision()
        return Part(
            ok=current == head, detail=f"at {current or 'nothing'}, head {head}"
        )

    def _relay(self) -> Part:
        try:
            touched = self._relay_heartbeat.stat().st_mtime
        except OSError:
            return Part(ok=False, detail="no heartbeat")
        age = max(0, now_ms() // MS_PER_S - int(touched))
        return Part(ok=age <= RELAY_SILENCE_S, detail=f"heartbeat {age} s old")


def wechat_part() -> Part:
    """Return which paths to WeChat are shut off by a breaker of any process."""
    breakers = read_gauge("kuaida_wechat_breaker_open", "path")
    shut = sorted(path for path, open_ in breakers.items() if open_)
    return Part(ok=not shut, detail=f"shut off: {', '.join(shut)}" if shut else "")


def add_readiness(app: Flask, readiness: Readiness) -> None:
    """Add `/readyz` to ``app``: 200 when ready, 503 with the same parts when not."""

    @app.get(PATH, provide_automatic_options=False)
    def readyz() -> Answer:
        visit = visit_of(request.environ)
        visit.route = PATH
        parts = readiness.parts()
        ready = parts["redis"].ok or parts["database"].ok
        data = {"ready": ready, "parts": parts}
        if ready:
            return REST.success(visit, data)
        return REST.failure(visit, Refusal("unavailable", RETRY_MS, data=data))
