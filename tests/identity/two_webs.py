"""Two web processes of one deployment, each on a port of its own."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.servers.mariadb_server import MariaDbServer
from tests.servers.stack import Stack, standing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Its own name, or it would find the other's pid file.
SECOND = ("env", "PROCESS=web2", "gunicorn", "-c", "config/gunicorn.py")
WEBS = ("web", "web2")


@contextmanager
def two_webs(
    folder: Path, *others: str, **variables: str
) -> Iterator[tuple[Stack, tuple[str, ...]]]:
    """Run them over MariaDB with the simulator and ``others``; gives their addresses.

    As `make run` starts them, but that a process on a port is known by it.
    """
    database = MariaDbServer(folder / "sql")
    database.start()
    variables = {"WEB_PROCESSES": "1", **variables}
    stack = Stack(folder / "stack", database.create("identity"), **variables)
    try:
        with standing(stack, "wechat", "web", *others):
            stack.listen("web2", [*SECOND, "-b", "127.0.0.1:{port}", "web.wsgi:app"])
            yield stack, tuple(stack.url(name) for name in WEBS)
    finally:
        database.stop()
