"""gunicorn's configuration of both listeners; the process ``PROCESS`` names.

An entry point, so it reads the settings: `web` is the public API, `ops` the
internal one. Reasons of the numbers: `docs/decisions` and `config/process_settings`.
"""

from __future__ import annotations

import gc
import logging
import os
from typing import Any

from gunicorn.glogging import Logger

from config.ended_metrics import sweep_shared_folder
from config.logging import configure_logging
from config.open_files import fitting, lift_limit
from config.settings import load_settings

# New objects before a collection; the default of 700 is a handful of requests.
GC_THRESHOLD = 20_000
process = os.environ.get("PROCESS", "web")
settings = load_settings()
configure_logging(settings, process)
_http = settings.http
_ops = process == "ops"


class PipeLogger(Logger):  # type: ignore[misc]
    """Sends gunicorn's own lines through our pipe instead of handlers of its own."""

    def setup(self, cfg: Any) -> None:  # noqa: ANN401 (gunicorn is untyped)
        """Keep the level and give every line to the root logger."""
        super().setup(cfg)
        for log in (self.error_log, self.access_log):
            log.handlers.clear()
            log.propagate = True
        # Its reports of start and stop are wanted, its remarks in between are not.
        self.error_log.setLevel(logging.INFO)


logger_class = PipeLogger
bind = (
    f"{_http.ops_host}:{_http.ops_port}"
    if _ops
    else f"{_http.web_host}:{_http.web_port}"
)
workers = 1 if _ops else _http.web_processes
# A slow phone holds a greenlet, not a thread: with threads four slow clients
# stopped a server of four.
worker_class = "web.server.worker.LeanWorker"
lift_limit(_http.web_connections)
worker_connections = fitting(_http.web_connections)
backlog = 2048
timeout = _http.worker_timeout_s
graceful_timeout = _http.graceful_timeout_s
keepalive = _http.keepalive_s
# A process that retires accepts nobody until its last connection is gone; so a single
# one stays, and the others take turns (`web/server/turns.py`).
max_requests = _http.max_requests if workers > 1 else 0
max_requests_jitter = max_requests // 10
limit_request_line = 4094
limit_request_fields = 50
# Ours need 470 bytes (an access token). But one whose key id alone is 10 kB, 13 kB in
# base64, is a bad token and to be answered 401 by the app, not 400 by the server: so
# not the usual 4 kB. What a request may cost is bounded by its whole head, 32 kB.
limit_request_field_size = 16_384
# Two names that differ in "-" and "_" only must not overwrite each other.
header_map = "refuse"
# Nobody but a proxy on this machine may speak for others; the app counts the hops.
forwarded_allow_ips = "127.0.0.1,::1"
accesslog = None  # The app writes one line a request itself, redacted.
errorlog = "-"
# A socket in the user's home: two instances would fight, read-only systems fail.
control_socket_disable = True
# The parent would open stores and greenlets before the fork.
preload_app = False
# Heartbeats of the workers: on memory, so that a slow disk kills nobody.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108, PTH112
settings.run_dir.mkdir(parents=True, exist_ok=True)
pidfile = str(settings.run_dir / f"{process}.pid")


def child_exit(_server: object, _worker: object) -> None:
    """Forget a dead worker's live gauges; its counters stay in the sum."""
    sweep_shared_folder()


def post_worker_init(_worker: object) -> None:
    """Leave what was loaded at start out of every later garbage collection."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 20, 20)
