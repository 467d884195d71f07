"""Who comes to nginx over TLS, and a server of the bad old days to compare with."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import warnings
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from config.dev.apt import find_program
from tests.integration.raw_http import PATIENCE_S, Answer, Phone
from tests.servers.certificates import HOST
from tests.servers.process import ServerError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.nginx_server import NginxServer

FIELD = f"Host: {HOST}\r\n".encode()
# Lets the library offer what it refuses by itself, so that the refusal is nginx's.
EVERYTHING = "ALL:@SECLEVEL=0"


def trusting(root: Path) -> ssl.SSLContext:
    """Return what a careful client uses that knows the root alone."""
    return ssl.create_default_context(cafile=str(root))


def only(
    version: ssl.TLSVersion, ciphers: str = EVERYTHING, *, root: Path
) -> ssl.SSLContext:
    """Return what a client uses that offers one version and these ciphers."""
    context = trusting(root)
    with warnings.catch_warnings(action="ignore"):  # it warns of the old versions
        context.minimum_version = context.maximum_version = version
    context.set_ciphers(ciphers)
    return context


class TlsPhone(Phone):
    """One connection over TLS, by hand."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        super().__init__(port)
        try:
            self.tls = context.wrap_socket(self.socket, server_hostname=HOST)
        except BaseException:
            self.socket.close()
            raise
        self.socket = self.tls

    def ask(self, path: str, *fields: str) -> TlsPhone:
        """Send a GET of the right host."""
        lines = [f"GET {path} HTTP/1.1", f"Host: {HOST}", *fields, "", ""]
        self.send("\r\n".join(lines).encode())
        return self


def find_curl() -> str:
    """Return the path of curl, our client of HTTP/2; raises `ServerError`."""
    if found := find_program("curl"):
        return found
    msg = "no curl: apt install curl"
    raise ServerError(msg)


@dataclass
class Front:
    """An nginx and its clients."""

    nginx: NginxServer

    def phone(self, context: ssl.SSLContext | None = None) -> TlsPhone:
        """Connect and shake hands; raises ssl.SSLError when refused."""
        chosen = context or trusting(self.nginx.root)
        return TlsPhone(self.nginx.tls_port, chosen)

    def http2(self, path: str, *options: str, said: bytes = b"") -> Answer:
        """Ask once over HTTP/2; ``said`` is what ``--data-binary @-`` sends."""
        port = self.nginx.tls_port
        done = subprocess.run(
            [
                *(find_curl(), "--silent", "--http2", "--max-time", str(PATIENCE_S)),
                *("--cacert", str(self.nginx.root)),
                *("--resolve", f"{HOST}:{port}:127.0.0.1"),
                *("--write-out", "\n%{http_code} %{http_version}"),
                *(f"https://{HOST}:{port}{path}", *options),
            ],
            input=said,
            capture_output=True,
            check=True,
        )
        body, _, line = done.stdout.rpartition(b"\n")
        status, version = line.decode().split()
        return Answer(int(status), {"version": version}, body)


@contextmanager
def anything_goes(folder: Path, chain: str = "fullchain.pem") -> Iterator[int]:
    """Serve handshakes of every version and cipher the library has; gives the port.

    What fails with nginx and works here failed because of nginx.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with warnings.catch_warnings(action="ignore"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers(EVERYTHING)
    context.load_cert_chain(folder / chain, folder / "privkey.pem")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE_S)
        server = threading.Thread(target=_shake_hands, args=(listener, context))
        server.start()
        yield listener.getsockname()[1]
        server.join()


def _shake_hands(listener: socket.socket, context: ssl.SSLContext) -> None:
    client, _ = listener.accept()
    client.settimeout(PATIENCE_S)
    with (
        suppress(OSError),
        client,
        context.wrap_socket(client, server_side=True) as tls,
    ):
        tls.recv(1)
