"""The scenes of the bench: the front under load, the drain, servers side by side."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.bench.codes import Mint
from tests.bench.drain import Drained, drain
from tests.bench.load import Load, run
from tests.bench.rows import YARDSTICK, Row, measure_all
from tests.bench.slow import SlowClients
from tests.servers.http import call
from tests.servers.mariadb_server import MariaDbServer
from tests.servers.stack import Stack, standing

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.bench.rows import Result

BIN = Path(sys.executable).parent
LOGIN = "/api/v1/auth/login"
# More than any server here can use up in a second; unused codes just expire.
CODES_PER_SECOND = 4000
USERS_READ = 200
SLOW_CLIENTS = 100
# Our few users log in each second or so, which in life would be two phones at once.
CALM = {"SESSION_KEY_CONTESTED_S": "0"}
GRANIAN = (
    *(str(BIN / "granian"), "--interface", "wsgi", "--host", "127.0.0.1"),
    *("--port", "{port}", "--workers", "2", "--blocking-threads", "64"),
    *("--no-ws", "--log-level", "warning", "web.wsgi:app"),
)


@dataclass(frozen=True, slots=True)
class Scene:
    """How long and how often; ``only`` keeps rows whose name contains it."""

    seconds: int = 10
    repetitions: int = 3
    drain_logins: int = 20_000
    only: str = ""


def start_yardstick(stack: Stack) -> None:
    """Start the bare Flask hello under stock gunicorn gevent, two workers."""
    command = [str(BIN / "gunicorn"), "-k", "gevent", "-w", "2", "--log-level", "error"]
    bind = ["-b", "127.0.0.1:{port}", "tests.bench.hello_app:app"]
    stack.listen("yardstick", [*command, *bind])


def access_tokens(stack: Stack, mint: Mint) -> Path:
    """Log some users in, read each once so that the cache holds it, keep tokens."""
    base = stack.url("web")
    codes = mint.codes(USERS_READ)
    answered = [call("POST", base + LOGIN, body={"code": code}).data for code in codes]
    tokens = [data["access_token"] for data in answered]
    path = stack.folder / "tokens.txt"
    path.write_text("\n".join(tokens) + "\n")
    run(Load(f"{base}/api/v1/me", 8, 1, "me.lua", (str(path),)))
    return path


@dataclass(frozen=True, slots=True)
class Front:
    """A listener of the app under load: its process, its name in front of the rows."""

    stack: Stack
    mint: Mint
    scene: Scene
    server: str = "web"
    prefix: str = ""

    @property
    def url(self) -> str:
        """Where it listens."""
        return self.stack.url(self.server)

    def row(self, name: str, load: Callable[[], Load], **how: Any) -> Row:
        """Return a row judged by this listener's CPU."""
        return Row(self.prefix + name, self.server, load, **how)

    def get(self, name: str, path: str, *script: str) -> Row:
        """Return a row of plain reads."""
        lua, *arguments = script or (None,)
        seconds = self.scene.seconds
        load = Load(self.url + path, 32, seconds, lua, tuple(map(str, arguments)))
        return self.row(name, lambda: load)

    def login(self, *, wait_ms: int, connections: int) -> Row:
        """Return the login with WeChat answering after ``wait_ms``."""
        seconds = self.scene.seconds

        def load() -> Load:
            path = str(self.mint.file(CODES_PER_SECOND * seconds))
            return Load(self.url + LOGIN, connections, seconds, "login.lua", (path,))

        name = f"login, {wait_ms} ms, c{connections}"
        return self.row(name, load, before=lambda: self.mint.delay(wait_ms))

    def slow(self) -> Row:
        """Return the login while many clients send bodies a byte at a time."""
        plain = self.login(wait_ms=0, connections=32)
        slow = SlowClients("127.0.0.1", self.stack.ports[self.server], LOGIN)

        def before() -> None:
            plain.before()
            slow.start(SLOW_CLIENTS, lasting_s=self.scene.seconds + 3)

        name = f"login, 0 ms, c32, {SLOW_CLIENTS} slow clients"
        return self.row(name, plain.load, before=before)

    def rows(self, tokens: Path) -> list[Row]:
        """Return the rows of the main table in their order."""
        return [
            self.get("GET /api/hello", "/api/hello"),
            self.get("GET /me, cached", "/api/v1/me", "me.lua", str(tokens)),
            self.login(wait_ms=0, connections=32),
            self.login(wait_ms=50, connections=256),
        ]


def yardstick_row(stack: Stack, scene: Scene) -> Row:
    """Start the yardstick and return its row."""
    start_yardstick(stack)
    load = Load(stack.url("yardstick"), 32, scene.seconds)
    return Row(YARDSTICK, "yardstick", lambda: load)


def measure_rows(
    stack: Stack, scene: Scene, rows: list[Row], say: Callable[[str], None]
) -> list[Result]:
    """Measure the yardstick and the wanted ones of ``rows``."""
    wanted = [row for row in rows if scene.only in row.name]
    wanted.insert(0, yardstick_row(stack, scene))
    return measure_all(stack, wanted, repetitions=scene.repetitions, say=say)


def measure_front(
    scene: Scene, folder: Path, say: Callable[[str], None]
) -> list[Result]:
    """Measure the public API with its consumers running."""
    with standing(Stack(folder, **CALM), "wechat", "web", "relay", "worker") as stack:
        mint = Mint(stack.url("wechat"), folder)
        tokens = access_tokens(stack, mint)
        return measure_rows(stack, scene, Front(stack, mint, scene).rows(tokens), say)


def fill_journal(stack: Stack, mint: Mint, logins: int) -> int:
    """Log in ``logins`` times with nobody reading the journal; return how many did."""
    done = 0
    while done < logins:
        path = mint.file(CODES_PER_SECOND * 5)
        url = stack.url("web") + LOGIN
        answered = run(Load(url, 32, 5, "login.lua", (str(path),)))
        done += answered.requests - answered.refused
    return done


def measure_drain(
    scene: Scene, folder: Path, say: Callable[[str], None]
) -> list[Drained]:
    """Measure enrichment into SQLite and MariaDB."""
    results = []
    for into in ("SQLite", "MariaDB"):
        place = folder / into.lower()
        database = MariaDbServer(place / "sql") if into == "MariaDB" else None
        try:
            results.append(drain_into(scene, place, into, database))
        finally:
            if database:
                database.stop()
        say(f"  enrichment into {into}: {results[-1].rate:.0f} logins/s")
    return results


def drain_into(
    scene: Scene, folder: Path, into: str, database: MariaDbServer | None
) -> Drained:
    """Fill the journal by real logins, then let the consumers at it."""
    url = ""
    if database:
        database.start()
        url = database.create("bench")
    stack = Stack(folder, url, **CALM)
    with standing(stack, "wechat", "web"):
        if database:
            stack.running["database"] = database.process
        mint = Mint(stack.url("wechat"), folder)
        logins = fill_journal(stack, mint, scene.drain_logins)
        return drain(stack, into=into, already=0, logins=logins)


def measure_servers(
    scene: Scene, folder: Path, say: Callable[[str], None]
) -> list[Result]:
    """Measure the same app under gunicorn and granian in turn, slow clients too."""
    with standing(Stack(folder, **CALM), "wechat", "web", "relay", "worker") as stack:
        stack.listen("granian", list(GRANIAN))
        mint = Mint(stack.url("wechat"), folder)
        tokens = access_tokens(stack, mint)
        fronts = [
            Front(stack, mint, scene, "web", "gunicorn: "),
            Front(stack, mint, scene, "granian", "granian: "),
        ]
        pairs = zip(*([*f.rows(tokens), f.slow()] for f in fronts), strict=True)
        rows = [row for pair in pairs for row in pair]
        return measure_rows(stack, scene, rows, say)
