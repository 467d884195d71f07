"""What `flask doctor` looks at: each check says in plain words what is wrong.

A check returns findings; it never raises, so that one fault does not hide others.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from config.clock import MS_PER_S, Deadline, now_ms
from config.secrets import secrets_directory
from models.database_facts import current_revision, head_revision, read_facts
from models.errors import KuaidaError, Unavailable
from web.bounded_read import BoundedReads
from wechat.errors import CodeInvalid, WeChatError, WeChatRefused

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from config.settings import Settings
    from models.database import Database
    from models.stores.container import Stores
    from wechat.gateway import Gateway

WECHAT_DEADLINE_MS: Final = 5000
LOOK_S: Final = 8.0
# WeChat judges app and secret before it finds out that this is nobody's code.
NO_CODE: Final = "kuaida-doctor"
# Half the leeway that tokens get by default.
MAX_SKEW_MS: Final = 15_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    part: str
    ok: bool
    words: str


class Doctor:
    """Examines one installation through the same doors the processes use."""

    def __init__(
        self, settings: Settings, stores: Stores, database: Database, gateway: Gateway
    ) -> None:
        self._settings = settings
        self._stores = stores
        self._database = database
        self._gateway = gateway
        self._reads = BoundedReads(LOOK_S)

    def examine(self) -> Iterator[Finding]:
        """Yield findings part by part."""
        yield from self._configuration()
        yield from self._secrets()
        for part, check in (
            ("redis", self._redis),
            ("database", self._sql),
            ("clocks", self._clocks),
            ("breakers", self._breakers),
        ):
            yield from self._guarded(part, check)
        for app in self._settings.wechat.apps:
            yield from self._guarded("wechat", partial(self._app, app.app_id))

    def _guarded(
        self, part: str, check: Callable[[], Iterable[Finding]]
    ) -> Iterable[Finding]:
        try:
            return self._reads.look(part, lambda: list(check()))
        except Unavailable as error:
            words = f"cannot be reached: {error}. Check its address and that it runs."
            return [Finding(part, ok=False, words=words)]

    def _configuration(self) -> Iterator[Finding]:
        settings = self._settings
        apps = ", ".join(app.app_id for app in settings.wechat.apps)
        words = f"environment {settings.env}, state in {settings.var_dir}, apps {apps}"
        yield Finding("configuration", ok=True, words=words)

    def _secrets(self) -> Iterator[Finding]:
        folder = secrets_directory(self._settings.var_dir)
        if not folder.is_dir():
            words = "come from the environment; there is no secrets folder"
            yield Finding("secrets", ok=True, words=words)
            return
        open_files = [path.name for path in [folder, *folder.iterdir()] if _open(path)]
        if open_files:
            names = ", ".join(sorted(open_files))
            words = f"others can read {names} in {folder}: chmod them to 0600"
            yield Finding("secrets", ok=False, words=words)
        else:
            yield Finding("secrets", ok=True, words=f"private in {folder}")

    def _redis(self) -> Iterator[Finding]:
        redis = self._stores.redis
        info = _lines(redis.execute("INFO", "server"))
        version = info.get("redis_version", "?")
        yield Finding("redis", ok=True, words=f"answers, version {version}")
        memory = _lines(redis.execute("INFO", "memory"))
        policy = memory.get("maxmemory_policy", "unknown")
        yield _judged(
            "redis",
            policy == "noeviction",
            f"maxmemory-policy is {policy}",
            "set it to noeviction, or Redis drops journal entries when it is full",
        )
        aof = _lines(redis.execute("INFO", "persistence")).get("aof_enabled") == "1"
        yield _judged(
            "redis",
            aof or not self._settings.production,
            f"append-only file is {'on' if aof else 'off'}",
            "set appendonly yes, or a restart forgets sessions and journal",
        )

    def _sql(self) -> Iterator[Finding]:
        with self._database.read() as session:
            facts = read_facts(session)
            current = current_revision(session)
        head = head_revision()
        words = f"answers, {facts.dialect} {facts.version}"
        yield Finding("database", ok=True, words=words)
        yield _judged(
            "database",
            current == head,
            f"schema is at {current or 'nothing'}",
            f"the code needs {head}: run the migrations",
        )
        yield _judged(
            "database",
            facts.charset in {"", "utf8mb4"},
            f"character set {facts.charset or 'UTF-8'}",
            "make the database utf8mb4, or names with emoji are refused",
        )

    def _clocks(self) -> Iterator[Finding]:
        seconds, micros = self._stores.redis.execute("TIME")
        redis_ms = int(seconds) * MS_PER_S + int(micros) // MS_PER_S
        with self._database.read() as session:
            database_ms = read_facts(session).now_ms
        for name, there in (("Redis", redis_ms), ("the database", database_ms)):
            skew = abs(there - now_ms())
            yield _judged(
                "clocks",
                skew <= MAX_SKEW_MS,
                f"{name} differs from this machine by {skew} ms",
                "switch on time synchronisation (NTP) on both machines",
            )

    def _breakers(self) -> Iterator[Finding]:
        shut = ", ".join(sorted(self._stores.shut_paths.look()))
        words = f"shut for all processes after failures: {shut}" if shut else "closed"
        yield Finding("breakers", ok=not shut, words=words)

    def _app(self, app_id: str) -> Iterator[Finding]:
        deadline = Deadline.after_ms(WECHAT_DEADLINE_MS)
        client = self._gateway.client(app_id)
        try:
            # The token may be a kept one; only a call tells whether WeChat answers.
            with suppress(CodeInvalid):
                client.code2session(NO_CODE, deadline=deadline)
            client.access_token(deadline=deadline)
        except (WeChatError, KuaidaError) as error:
            yield Finding("wechat", ok=False, words=f"{app_id}: {_cause(error)}")
        else:
            words = f"{app_id}: answers, knows app and secret, gives an access token"
            yield Finding("wechat", ok=True, words=words)


def _judged(part: str, ok: bool, fact: str, advice: str) -> Finding:  # noqa: FBT001
    return Finding(part, ok=ok, words=fact if ok else f"{fact}: {advice}")


def _cause(error: Exception) -> str:
    if isinstance(error, WeChatRefused):
        return (
            f"WeChat answered errcode {error.errcode} ({type(error).__name__}); "
            "check app_id, secret and the address list in the WeChat console"
        )
    return f"no answer of use ({type(error).__name__}); check WECHAT_API_BASE"


def _open(path: Path) -> bool:
    return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def _lines(reply: bytes | str) -> dict[str, str]:
    text = reply.decode() if isinstance(reply, bytes) else reply
    pairs = (line.partition(":") for line in text.splitlines() if ":" in line)
    return {name: value.strip() for name, _, value in pairs}
