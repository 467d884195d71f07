"""One call to WeChat, whole: breaker, bulkhead, transport, shape, errcode, measuring.

`client` and `access_token` speak through this; below it is only the transport.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import orjson

from config.clock import Deadline, monotonic
from wechat.breaker import Breaker
from wechat.breakers import Breakers
from wechat.bulkhead import Bulkhead
from wechat.errors import (
    PoolExhausted,
    WeChatError,
    WeChatLied,
    WeChatRefused,
    WeChatTimeout,
    refusal,
)
from wechat.transport import Answer, Transport

_HTTP_OK = 200
_NUMBER = re.compile(r"-?[0-9]{1,9}")


class _Request(NamedTuple):
    method: str
    path: str
    query: Mapping[str, str]
    body: bytes | None


class Observer(Protocol):
    """Who is told of each call; `wechat/gateway.py` lends the metrics."""

    def called(self, path: str, outcome: str, seconds: float) -> None:
        """Take note of one call; ``outcome`` is an errcode or a word."""

    def refreshed(self, outcome: str) -> None:
        """Take note of one fetch of an access token."""


@dataclass(frozen=True, slots=True)
class CallLimits:
    """Bounds of one call, in seconds.

    ``read_timeout_s`` caps the caller's deadline. A timeout counts against the
    breaker only when the caller gave at least ``fair_wait_s``: impatient callers
    must not shut the door for everybody. ``places`` calls of one path are in flight
    at most; further ones wait ``place_wait_s``.
    """

    read_timeout_s: float
    fair_wait_s: float = 1.0
    places: int = 128
    place_wait_s: float = 0.5


class Caller:
    """Calls WeChat and returns the answer's JSON object once errcode is 0."""

    def __init__(
        self,
        transport: Transport,
        limits: CallLimits,
        *,
        breakers: Breakers,
        observer: Observer,
    ) -> None:
        self._transport = transport
        self._limits = limits
        self._breakers = breakers
        self._bulkheads: dict[str, Bulkhead] = {}
        self.observer = observer

    def get(
        self, path: str, query: Mapping[str, str], *, deadline: Deadline
    ) -> dict[str, Any]:
        """GET ``path``; raises any WeChatError."""
        return self._measured(_Request("GET", path, query, None), deadline)

    def post(
        self,
        path: str,
        query: Mapping[str, str],
        *,
        body: Mapping[str, Any],
        deadline: Deadline,
    ) -> dict[str, Any]:
        """POST ``body`` as raw UTF-8 JSON, without escapes; raises any WeChatError."""
        request = _Request("POST", path, query, orjson.dumps(body))
        return self._measured(request, deadline)

    def _measured(self, request: _Request, deadline: Deadline) -> dict[str, Any]:
        started = monotonic()
        outcome = "error"
        try:
            found = self._guarded(request, deadline)
            outcome = "0"
        except WeChatError as error:
            outcome = error.label
            raise
        else:
            return found
        finally:
            self.observer.called(request.path, outcome, monotonic() - started)

    def _guarded(self, request: _Request, deadline: Deadline) -> dict[str, Any]:
        breaker = self._breakers.of(request.path)
        # Before the bulkhead too: an open breaker refuses without a wait for a place.
        breaker.check()
        with self._bulkhead(request.path).place(deadline):
            breaker.enter()
            return self._judged(request, breaker, deadline)

    def _judged(
        self, request: _Request, breaker: Breaker, deadline: Deadline
    ) -> dict[str, Any]:
        method, path, query, body = request
        budget = deadline.capped(self._limits.read_timeout_s)
        limit = Deadline(monotonic() + budget)
        try:
            answer = self._transport.request(
                method, path, query=query, body=body, deadline=limit
            )
            found = parsed(answer, path)
        except WeChatRefused:
            breaker.succeeded()
            raise
        except BaseException as error:
            self._settle(breaker, error, budget)
            raise
        breaker.succeeded()
        return found

    def _settle(self, breaker: Breaker, error: BaseException, budget: float) -> None:
        impatient = (
            isinstance(error, WeChatTimeout) and budget < self._limits.fair_wait_s
        )
        silent = not isinstance(error, WeChatError) or isinstance(error, PoolExhausted)
        if impatient or silent:
            breaker.abandoned()
        else:
            breaker.failed()

    def new_bulkhead(self, path: str) -> Bulkhead:
        """Return one as large as that of a path, for waits that lead to its calls."""
        return Bulkhead(path, self._limits.places, self._limits.place_wait_s)

    def _bulkhead(self, path: str) -> Bulkhead:
        bulkhead = self._bulkheads.get(path)
        if bulkhead is None:
            made = self.new_bulkhead(path)
            bulkhead = self._bulkheads.setdefault(path, made)
        return bulkhead


def parsed(answer: Answer, path: str) -> dict[str, Any]:
    """Return the JSON object of an untrusted answer.

    Raises WeChatLied for a wrong status or shape and WeChatRefused for an errcode.
    The content type is ignored: login answers are labelled ``text/plain``.
    """
    if answer.status != _HTTP_OK:
        raise WeChatLied(path, f"HTTP {answer.status}")
    try:
        found = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        raise WeChatLied(path, "not JSON") from None
    if not isinstance(found, dict):
        raise WeChatLied(path, "not a JSON object")
    errcode = found.get("errcode")
    if errcode:
        _refuse(errcode, found.get("errmsg"), path)
    return found


def _refuse(errcode: object, errmsg: object, path: str) -> None:
    number = whole_number(errcode)
    if number is None:
        raise WeChatLied(path, "errcode is not a number")
    if number != 0:
        raise refusal(path, number, str(errmsg or "")[:500])


def whole_number(value: object) -> int | None:
    """Return an int given as such or as digits; None for everything else."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return None
