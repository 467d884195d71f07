"""The real nginx with the shipped configuration, on private ports and folders."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from config.dev.apt import find_program
from tests.servers.certificates import make_chain
from tests.servers.process import LocalProcess, ServerError, free_port, port_answers

SHIPPED = Path(__file__).resolve().parents[2] / "deploy" / "nginx" / "nginx.conf"


def find_nginx() -> str:
    """Return the path of nginx; raises `ServerError`."""
    if found := find_program("nginx"):
        return found
    msg = "no nginx: apt install nginx-light"
    raise ServerError(msg)


class NginxServer:
    """One nginx in front of ``upstream`` (a port); only places differ from production.

    Its certificate is signed for `tests.servers.certificates.HOST`; clients trust
    ``root``.
    """

    def __init__(self, folder: Path, upstream: int) -> None:
        self.folder = folder
        self.plain_port, self.tls_port = free_port(), free_port()
        self.root = folder / "tls" / "root.pem"
        self._places = {
            "listen 8080 ": f"listen 127.0.0.1:{self.plain_port} ",
            "listen 8443 ": f"listen 127.0.0.1:{self.tls_port} ",
            "server web:8000;": f"server 127.0.0.1:{upstream};",
            "pid /tmp/": f"pid {folder}/",
            **{
                f"{kind}_path /tmp/": f"{kind}_path {folder}/"
                for kind in (
                    *("client_body_temp", "proxy_temp", "fastcgi_temp"),
                    *("uwsgi_temp", "scgi_temp"),
                )
            },
            "certificate /etc/nginx/tls/": f"certificate {folder}/tls/",
            "certificate_key /etc/nginx/tls/": f"certificate_key {folder}/tls/",
        }
        self._file = folder / "nginx.conf"
        self.process = LocalProcess(self._command(), log=folder / "nginx.log")

    def _command(self, *options: str) -> list[str]:
        # Its processes must reach the test's folder, which belongs to whoever tests.
        user = "user root;" if os.geteuid() == 0 else ""
        extra = ["-g", f"daemon off; {user}"]
        return [find_nginx(), "-c", str(self._file), *extra, *options]

    def prepare(self) -> None:
        """Write certificates and the configuration with our places in it."""
        make_chain(self.folder / "tls")
        text = SHIPPED.read_text()
        for theirs, ours in self._places.items():
            if text.count(theirs) != 1:
                msg = f"{SHIPPED} has {theirs!r} not exactly once"
                raise ServerError(msg)
            text = text.replace(theirs, ours)
        self._file.write_text(text)

    def check(self) -> str:
        """Return what `nginx -t` says; raises `ServerError` when it refuses."""
        done = subprocess.run(
            self._command("-t"), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise ServerError(done.stderr)
        return done.stderr

    def start(self) -> None:
        """Prepare, start and wait until it listens."""
        self.prepare()
        self.process.start()
        self.process.wait_ready(lambda: port_answers(self.tls_port), within_s=60)

    def stop(self) -> None:
        """Stop it."""
        self.process.stop()

    def log(self) -> str:
        """Return everything it has written."""
        return self.process.log.read_text()
