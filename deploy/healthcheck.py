"""Is this container's process healthy? Standard library only; 0 is yes.

``http://…`` must answer 200, ``tcp://host:port`` must accept, ``file:///path`` must
have been touched lately (the heartbeat of `workers/health.py`).
"""

from __future__ import annotations

import http.client
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit

from config.clock import now_ms

TIMEOUT_S = 3.0
HEARTBEAT_MS = 60_000
OK = 200


def healthy(address: str) -> bool:
    """Ask once; OSError means no."""
    target = urlsplit(address)
    if target.scheme == "file":
        return now_ms() - Path(target.path).stat().st_mtime * 1000 < HEARTBEAT_MS
    host, port = target.hostname or "", target.port or 0
    if target.scheme == "tcp":
        socket.create_connection((host, port), timeout=TIMEOUT_S).close()
        return True
    link = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    link.request("GET", target.path)
    return link.getresponse().status == OK


def main(address: str) -> int:
    """Return the exit code a container engine wants."""
    try:
        return 0 if healthy(address) else 1
    except (OSError, http.client.HTTPException):
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
