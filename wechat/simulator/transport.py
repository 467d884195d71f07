"""The simulated WeChat as a `Transport` inside the caller's process, for tests.

The same handlers as the server's, without a socket; deadlines hold as on the network.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import orjson

from config.clock import Deadline, sleep
from wechat.errors import WeChatTimeout, WeChatUnreachable
from wechat.simulator.control import control
from wechat.simulator.engine import begin, finish
from wechat.simulator.state import SimState
from wechat.simulator.wire import Request
from wechat.transport import Answer


class SimulatedTransport:
    """Calls the simulator directly; safe for threads."""

    def __init__(self, state: SimState) -> None:
        self.state = state
        self._lock = threading.Lock()

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str],
        body: bytes | None,
        deadline: Deadline,
    ) -> Answer:
        """Send one request; see `wechat.transport.Transport`."""
        if deadline.expired:
            raise WeChatTimeout(path, "deadline passed", sent=False)
        request = Request(method, path, dict(query), body or b"")
        with self._lock:
            call = begin(self.state, request)
        sleep(deadline.capped(call.delay_s))
        with self._lock:
            # A late effect still happens: the server cannot know that we left.
            outcome = finish(self.state, call)
        if outcome.end == "reset":
            raise WeChatUnreachable(path, "ConnectionResetError")
        if outcome.end == "stall":
            sleep(deadline.remaining_s())
        if outcome.reply is None or deadline.expired:
            raise WeChatTimeout(path, "no whole answer in time")
        return Answer(outcome.reply.status, outcome.reply.body)

    def close(self) -> None:
        """Do nothing: there is no connection."""

    def control(
        self, method: str, path: str, given: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Use the control API: ``given`` is the body of a POST, else the query.

        Raises ValueError with the API's words when it refuses.
        """
        posted = method == "POST"
        query = {} if posted else {k: str(v) for k, v in (given or {}).items()}
        body = orjson.dumps(dict(given or {})) if posted else b""
        with self._lock:
            reply = control(self.state, Request(method, path, query, body))
        found: dict[str, Any] = orjson.loads(reply.body)
        if "error" in found:
            raise ValueError(found["error"])
        return found
