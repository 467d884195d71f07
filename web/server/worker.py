"""gunicorn's gevent worker with a leaner path from socket to WSGI app.

gunicorn keeps what it is good at: processes, signals, restarts, listening sockets.
Every wait is bounded: for a request, for the rest of its head, for a slow reader.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from gunicorn.workers.ggevent import GeventWorker

from web.server.connection import Connection
from web.server.turns import Turns

if TYPE_CHECKING:
    from socket import socket

# Made in gunicorn's main process, before it forks the workers that share it.
_TURNS: Final = Turns()


class LeanWorker(GeventWorker):  # type: ignore[misc]  # gunicorn is untyped
    """Serves connections with `web/server`; everything else is gunicorn's."""

    alive: bool
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
        """Count towards ``max_requests``; then the worker retires in its turn."""
        self.nr += 1
        if self.nr >= self.max_requests and self.alive and self._may_retire():
            self.log.info("worker leaves after its last request")
            self._retires, self.alive = True, False

    def _may_retire(self) -> bool:
        # The one before has left by then, and its successor had as long to start.
        return _TURNS.take(2 * self.cfg.graceful_timeout)


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
