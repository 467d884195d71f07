"""The scenes of the bench: the front under load, the drain, servers side by side."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.codes import Mint
from tests.bench.drain import Drained, drain
from tests.bench.load import Load, run
from tests.bench.rows import YARDSTICK, Result, Row, measure_all
from tests.bench.slow import SlowClients
from tests.servers.http import call
from tests.servers.mariadb_server import MariaDbServer
from tests.servers.stack import Stack, standing

if TYPE_CHECKING:
    from collections.abc import Callable

BIN = Path(sys.executable).parent
LOGIN = "/api/v1/auth/login"
# More than any server here can use up in a second; unused codes just expire.
CODES_PER_SECOND = 4000
USERS_READ = 200
SLOW_CLIENTS = 100
GRANIAN = (
    f"exec {BIN / 'granian'} --interface wsgi --host 127.0.0.1 --port {{port}} "
    "--workers 2 --blocking-threads 64 --no-ws --log-level warning web.wsgi:app"
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


def login_row(
    stack: Stack, mint: Mint, scene: Scene, *, wait_ms: int, conns: int
) -> Row:
    """Return the login with WeChat answering after ``wait_ms``."""

    def load() -> Load:
        path = mint.file(CODES_PER_SECOND * scene.seconds)
        url = stack.url("web") + LOGIN
        return Load(url, conns, scene.seconds, "login.lua", (str(path),))

    name = f"login, {wait_ms} ms, c{conns}"
    return Row(name, "web", load, before=lambda: mint.delay(wait_ms))


def front_rows(stack: Stack, scene: Scene, mint: Mint) -> list[Row]:
    """All rows of the main table in their order."""
    tokens = access_tokens(stack, mint)
    seconds, web = scene.seconds, stack.url("web")
    rows = [
        Row(YARDSTICK, "yardstick", lambda: Load(stack.url("yardstick"), 32, seconds)),
        Row("GET /api/hello", "web", lambda: Load(f"{web}/api/hello", 32, seconds)),
        Row(
            "GET /me, cached",
            "web",
            lambda: Load(f"{web}/api/v1/me", 32, seconds, "me.lua", (str(tokens),)),
        ),
        login_row(stack, mint, scene, wait_ms=0, conns=32),
        login_row(stack, mint, scene, wait_ms=50, conns=256),
    ]
    return [row for row in rows if scene.only in row.name or row.name == YARDSTICK]


def measure_front(
    scene: Scene, folder: Path, say: Callable[[str], None]
) -> list[Result]:
    """Measure the public API with its consumers running."""
    with standing(Stack(folder), "wechat", "web", "relay", "worker") as stack:
        start_yardstick(stack)
        mint = Mint(stack.url("wechat"), folder)
        rows = front_rows(stack, scene, mint)
        return measure_all(stack, rows, repetitions=scene.repetitions, say=say)


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
    stack = Stack(folder, url)
    with standing(stack, "wechat", "web"):
        if database:
            stack.running["database"] = database.process
        mint = Mint(stack.url("wechat"), folder)
        logins = fill_journal(stack, mint, scene.drain_logins)
        return drain(stack, into=into, already=0, logins=logins)


def measure_servers(
    scene: Scene, folder: Path, say: Callable[[str], None]
) -> list[Result]:
    """Measure the same app under gunicorn and granian, slow clients counted in."""
    results = []
    for server in ("gunicorn", "granian"):
        stack = Stack(folder / server)
        if server == "granian":
            stack.lines["web"] = GRANIAN.format(port=stack.ports["web"])
        say(f"{server}:")
        with standing(stack, "wechat", "web", "relay", "worker"):
            start_yardstick(stack)
            mint = Mint(stack.url("wechat"), stack.folder)
            rows = [*front_rows(stack, scene, mint), slow_row(stack, mint, scene)]
            done = measure_all(stack, rows, repetitions=scene.repetitions, say=say)
        results += [named(result, server) for result in done]
    return results


def slow_row(stack: Stack, mint: Mint, scene: Scene) -> Row:
    """Return the login while many clients send their bodies a byte at a time."""
    plain = login_row(stack, mint, scene, wait_ms=0, conns=32)
    slow = SlowClients("127.0.0.1", stack.ports["web"], LOGIN)

    def before() -> None:
        plain.before()
        slow.start(SLOW_CLIENTS, lasting_s=scene.seconds + 3)

    return Row(
        f"login, 0 ms, c32, {SLOW_CLIENTS} slow clients", "web", plain.load, before
    )


def named(result: Result, server: str) -> Result:
    """Return the result with the server's name in front; the yardstick keeps its."""
    row = result.row
    if row.name != YARDSTICK:
        row = Row(f"{server}: {row.name}", row.server, row.load)
    return Result(row, result.runs)
