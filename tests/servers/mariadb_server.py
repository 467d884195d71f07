"""A private MariaDB in a temporary folder, one database per asking test module.

Durability is off unless asked for: these data die with the test. Everything else is as
production asks (utf8mb4, strict mode).
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from typing import TYPE_CHECKING

import pymysql

from tests.servers.process import LocalProcess, ServerError, free_port

if TYPE_CHECKING:
    from pathlib import Path

MISSING = (
    "no MariaDB found: install mariadb-server (make test does), "
    "or set SKIP_EXTERNAL=1 to leave these tests out"
)
PASSWORD = "kuaida-tests"


def find_mariadb(program: str) -> str:
    """Return the path of a MariaDB ``program``; raises `ServerError`."""
    places = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin:/sbin"
    if found := shutil.which(program, path=places):
        return found
    raise ServerError(MISSING)


class MariaDbServer:
    """One MariaDB of our own, reached over loopback TCP as user ``kuaida``."""

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        """``durable`` for drills that kill it: a commit must outlive the process."""
        self.folder = folder
        self.port = free_port()
        self._flush = 1 if durable else 0
        self.process = LocalProcess(self._command(), log=folder / "mariadb.log")

    def _command(self) -> list[str]:
        return [
            find_mariadb("mariadbd"),
            "--no-defaults",
            *self._as_root(),
            *self._folders(),
            f"--socket={self.folder / 's'}",
            f"--pid-file={self.folder / 'pid'}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            "--character-set-server=utf8mb4",
            "--collation-server=utf8mb4_unicode_ci",
            f"--innodb-flush-log-at-trx-commit={self._flush}",
            "--innodb-buffer-pool-size=64M",
            "--max-connections=200",
        ]

    @staticmethod
    def _as_root() -> list[str]:
        # mariadbd refuses to run as root unless told so by name.
        return ["--user=root"] if os.geteuid() == 0 else []

    def _folders(self) -> list[str]:
        # Several servers that share /tmp delete each other's temporary tables.
        return [f"--datadir={self.folder / 'data'}", f"--tmpdir={self.folder / 'tmp'}"]

    def start(self) -> None:
        """Make the data folder when it is new, start, and make our account."""
        fresh = not (self.folder / "data").exists()
        if fresh:
            self._install()
        # A killed server leaves its socket behind; ours is the one it makes now.
        (self.folder / "s").unlink(missing_ok=True)
        self.process.start()
        self.process.wait_ready(self._listens, within_s=120)
        if fresh:
            self._make_account()

    def _install(self) -> None:
        (self.folder / "tmp").mkdir(parents=True, exist_ok=True)
        command = [
            find_mariadb("mariadb-install-db"),
            "--no-defaults",
            *self._as_root(),
            *self._folders(),
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ServerError(done.stdout + done.stderr)

    def _listens(self) -> bool:
        # The file is there before anybody listens.
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1)
            return probe.connect_ex(str(self.folder / "s")) == 0

    def _make_account(self) -> None:
        self._as_admin(
            f"CREATE USER 'kuaida'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'",
            "GRANT ALL ON *.* TO 'kuaida'@'127.0.0.1'",
        )

    def _as_admin(self, *statements: str) -> None:
        link = pymysql.connect(unix_socket=str(self.folder / "s"), user="root")
        with link, link.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def create(self, name: str) -> str:
        """Make the empty database ``name`` and return its URL."""
        self._as_admin(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")
        return self.url(name)

    def drop(self, name: str) -> None:
        """Remove the database ``name``."""
        self._as_admin(f"DROP DATABASE `{name}`")

    def url(self, name: str) -> str:
        """Return the SQLAlchemy URL of the database ``name``."""
        place = f"kuaida:{PASSWORD}@127.0.0.1:{self.port}"
        return f"mysql+pymysql://{place}/{name}?charset=utf8mb4"

    def stop(self) -> None:
        """Stop it; the data folder stays for a later `start`."""
        self.process.stop(within_s=20)
