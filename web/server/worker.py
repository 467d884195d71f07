"""gunicorn's gevent worker with a leaner path from socket to WSGI app.

gunicorn keeps what it is good at: processes, signals, restarts, listening sockets.
Every wait is bounded: for a request, for the rest of its head, for a slow reader.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from gunicorn.workers.ggevent import GeventWorker

from web.server.connection import Connection

if TYPE_CHECKING:
    from socket import socket


class LeanWorker(GeventWorker):  # type: ignore[misc]  # gunicorn is untyped
    """Serves connections with `web/server`; everything else is gunicorn's."""

    _retires = False

    @property
    def hurries(self) -> bool:
        """Whether it was told to stop; one that retires by itself has time."""
        return not (self.alive or self._retires)

    def handle_exit(self, sig: int, frame: object) -> None:
        """Stop soon, also when retiring already."""
        self._retires = False
        super().handle_exit(sig, frame)

    def handle(self, listener: socket, client: socket, addr: object) -> None:
        """Serve one connection until it ends; never raises."""
        try:
            connection = Connection(self, client, _base_environ(listener, addr))
            connection.bound_silence()
            connection.serve()
        except OSError:
            # The client hung up or is too slow: its own business.
            return
        except Exception:
            self.log.exception("a connection ended by an error of the app")
        finally:
            client.close()

    def count_request(self) -> None:
        """Count towards ``max_requests``; the worker retires when it is reached."""
        self.nr += 1
        if self.nr == self.max_requests:
            self.log.info("worker leaves after its last request")
            self._retires, self.alive = True, False


def _base_environ(listener: socket, addr: object) -> dict[str, Any]:
    bound = listener.getsockname()
    name, port = bound[:2] if isinstance(bound, tuple) else (str(bound), 0)
    return {
        "SCRIPT_NAME": "",
        "SERVER_NAME": str(name),
        "SERVER_PORT": str(port),
        # A unix socket has no peer address; whoever reaches it is this machine.
        "REMOTE_ADDR": addr[0] if isinstance(addr, tuple) and addr else "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.errors": sys.stderr,
        "wsgi.url_scheme": "http",
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
