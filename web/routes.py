"""How an endpoint is declared: once, for validation and for the OpenAPI document.

`web/views` declare, `web/dispatch.py` serves, `web/openapi` describes.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeVar

import msgspec

from config.clock import monotonic
from web.services.listeners import QUIET_LINE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from config.process_settings import HttpSettings
    from models.idempotency import Once
    from web.services.caller import Caller, Claims
    from web.services.listeners import Line
    from web.services.roster import Services
    from web.visit import Visit

HandlerT = TypeVar("HandlerT", bound="Callable[..., object]")
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class Auth(StrEnum):
    """Who may call a route."""

    PUBLIC = "public"
    USER = "user"
    ADMIN = "admin"


class Limit(StrEnum):
    """Which rate limit a route falls under; `SERVICE` admits inside its service.

    A login spends its one Redis round trip for admission on more than a bucket,
    so its service asks, not the dispatcher. `NONE` is for routes without I/O.
    """

    NONE = "none"
    SERVICE = "login"
    READ = "read"
    WRITE = "write"


class NoBody(msgspec.Struct, forbid_unknown_fields=True):
    """What routes without a body still take from clients that always send one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What a route takes, gives and may refuse; ``body_limit`` None is the default.

    ``forms`` are the sets of fields of the ``body`` that clients may send: exactly one
    of them, shorter ones first.
    ``may_omit_body`` is for a ``body`` whose fields all have defaults. A write without
    a ``body`` takes none, an empty one, or `NoBody`.
    ``reasons`` names the refusals of its service; those of validation, tokens and
    limits follow from the other fields. ``idempotent`` routes keep their answer under
    an Idempotency-Key: hand ``call.once`` to the transaction that has the effect.
    Other writes only check the key; ``repeated`` says what becomes of a repetition.
    ``may_end_itself`` is for ``idempotent`` routes that can end the session they are
    called with: their kept answer is told once more to the token that got it.
    ``unverified`` writes stay open to users who must bind a phone first.
    ``line`` is the shape of one line where clients may ask for a stream of lines
    instead of one answer. ``file`` is the content type of a route that answers with a
    `File`, bare; ``answer`` is then the shape of its content.
    """

    summary: str
    answer: type[msgspec.Struct]
    body: type[msgspec.Struct] | None = None
    forms: tuple[tuple[str, ...], ...] = ()
    may_omit_body: bool = False
    query: type[msgspec.Struct] | None = None
    line: type[msgspec.Struct] | None = None
    auth: Auth = Auth.USER
    limit: Limit = Limit.READ
    body_limit: int | None = None
    idempotent: bool = False
    repeated: str = ""
    may_end_itself: bool = False
    unverified: bool = False
    file: str = ""
    reasons: tuple[str, ...] = ()
    description: str = ""

    def body_bytes(self, http: HttpSettings) -> int:
        """Return the bytes a body of this route may have."""
        return http.body_limit if self.body_limit is None else self.body_limit


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint: where, what, who serves it."""

    method: Method
    path: str
    tag: str
    spec: Spec
    handler: Callable[..., object]

    @property
    def name(self) -> str:
        """Operation id: the handler's place and name."""
        return f"{self.tag}_{self.handler.__name__}"

    @property
    def body(self) -> type[msgspec.Struct] | None:
        """The shape of a body sent here; None where none is looked at."""
        return self.spec.body or (NoBody if self.writes else None)

    @property
    def writes(self) -> bool:
        """Whether it changes something."""
        return self.method != "GET"

    @property
    def takes_head(self) -> bool:
        """Whether HEAD is served: not where a GET begins work or holds a listener."""
        return self.spec.limit is not Limit.WRITE and self.spec.line is None

    @property
    def waits(self) -> bool:
        """Whether clients may wait here: then their rhythm is ours, not theirs."""
        query = self.spec.query
        wishes = () if query is None else query.__struct_fields__
        return self.spec.line is not None or "wait_ms" in wishes

    @property
    def needs_body(self) -> bool:
        """Whether a request without a body is refused."""
        return self.spec.body is not None and not self.spec.may_omit_body


class LineSource(Protocol):
    """Lines as they come, encoded, each with its end; closed once, whatever happens."""

    def __iter__(self) -> Iterator[bytes]:
        """Return the iterator of the lines."""

    def close(self) -> None:
        """Let go of what the lines come from."""


class Lines(NamedTuple):
    """What a handler answers with to stream, and headers that say more of it."""

    source: LineSource
    headers: tuple[tuple[str, str], ...] = ()


class File(NamedTuple):
    """What a handler answers with to send a file; ``pieces`` are read as it goes."""

    name: str
    content_type: str
    size: int
    pieces: Iterator[bytes]


@dataclass(slots=True)
class Call:
    """What a handler gets beside its body: who asks, and the services to ask.

    ``wants_lines`` is only ever true where the `Spec` has a ``line``; ``line`` is
    then, as for long polls, the connection to the client.
    """

    visit: Visit
    caller: Caller
    open_services: Callable[[], Services]
    # Verifies an access token that did not come as the caller's own.
    read_token: Callable[[str], Claims]
    identity: Claims | None = None
    once: Once | None = None
    wants_lines: bool = False
    line: Line = QUIET_LINE

    @property
    def services(self) -> Services:
        """The services of this process, opened when the first request needs one."""
        return self.open_services()

    @property
    def claims(self) -> Claims:
        """The verified token; only handlers of routes with `Auth.USER` may ask."""
        if self.identity is None:
            raise RuntimeError(self.visit.route)
        return self.identity

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Do not count what happens inside as time to answer: it was asked for."""
        began = monotonic()
        try:
            yield
        finally:
            self.visit.waited_s += monotonic() - began


@dataclass(slots=True)
class Routes:
    """The routes of one noun, under one prefix."""

    tag: str
    prefix: str = "/api/v1"
    routes: list[Route] = field(default_factory=list)

    def get(self, path: str, spec: Spec) -> Callable[[HandlerT], HandlerT]:
        """Declare a GET route."""
        return self._declare("GET", path, spec)

    def post(self, path: str, spec: Spec) -> Callable[[HandlerT], HandlerT]:
        """Declare a POST route."""
        return self._declare("POST", path, spec)

    def patch(self, path: str, spec: Spec) -> Callable[[HandlerT], HandlerT]:
        """Declare a PATCH route."""
        return self._declare("PATCH", path, spec)

    def delete(self, path: str, spec: Spec) -> Callable[[HandlerT], HandlerT]:
        """Declare a DELETE route."""
        return self._declare("DELETE", path, spec)

    def _declare(
        self, method: Method, path: str, spec: Spec
    ) -> Callable[[HandlerT], HandlerT]:
        def keep(handler: HandlerT) -> HandlerT:
            route = Route(method, self.prefix + path, self.tag, spec, handler)
            self.routes.append(route)
            return handler

        return keep
