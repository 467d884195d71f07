"""The door: everything that happens once for each request, whatever its route.

Request id, deadline, origin, allowed host, log line, metrics and security headers.
What is raised here or slips through the app is told by the ``refuse`` it was given.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Final

from config.clock import Deadline, monotonic
from config.logging import PlainLog, bind_context, clear_context
from config.patience import bind_deadline
from config.redaction import scrub
from models.errors import FieldFault, InvalidInput, KuaidaError
from web.hosts import AllowedHosts
from web.origin import Origin
from web.referer import RefererHint
from web.request_metrics import METHODS, RequestMetrics
from web.server.requests import REFUSED_KEY
from web.visit import ENVIRON_KEY, Visit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from config.host_names import HostName
    from config.settings import Settings

    Environ = dict[str, Any]
    StartResponse = Callable[..., Any]
    WsgiApp = Callable[[Environ, StartResponse], Iterable[bytes]]

# An id we repeat in headers and logs: no spaces, quotes or line ends.
_SANE_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}\Z")
_DEVICE_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}\Z")
_MILLISECONDS: Final = re.compile(r"[0-9]{1,6}\Z")
SECURITY_HEADERS: Final = (
    ("X-Content-Type-Options", "nosniff"),
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Frame-Options", "DENY"),
)
_LETTERS: Final = str.maketrans("0123456789abcdef", "abcdefghijklmnop")
_log: Final = PlainLog("web.access")


class Door:
    """WSGI middleware around a Flask app; ``refuse`` turns an error into an answer."""

    def __init__(
        self,
        app: WsgiApp,
        settings: Settings,
        refuse: Callable[[Exception, Visit], WsgiApp],
        allowed_hosts: Iterable[HostName] = (),
    ) -> None:
        self._app = app
        self._refuse = refuse
        self._http = settings.http
        self._origin = Origin(settings.transport)
        self._hosts = AllowedHosts(allowed_hosts)
        self._referer = RefererHint(app.app_id for app in settings.wechat.apps)
        hsts = ("Strict-Transport-Security", f"max-age={settings.transport.hsts_s}")
        self._hsts = (hsts,) if settings.transport.hsts_s else ()
        self._metrics = RequestMetrics()

    def __call__(
        self, environ: Environ, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Serve one request; never raises."""
        visit = self._open_visit(environ)
        status = 500
        bind_context(request_id=visit.request_id)

        def start(line: str, headers: list[tuple[str, str]], *rest: object) -> object:
            nonlocal status
            status = int(line[:3])
            headers.append(("X-Request-Id", visit.request_id))
            headers.extend(SECURITY_HEADERS)
            headers.append(("Content-Security-Policy", visit.content_policy))
            headers.extend(visit.headers)
            return start_response(line, headers, *rest)

        try:
            self._check(environ, visit)
            bind_deadline(visit.deadline)
            body = self._app(environ, start)
        except Exception as error:  # noqa: BLE001 -- the last resort of the house
            body = self._refuse(error, visit)(environ, start)
        finally:
            if not visit.streams:
                self._note(visit, status)
            clear_context()
            bind_deadline(None)
        if visit.streams:
            return NotedAtEnd(body, visit, lambda: self._note(visit, status))
        return body

    def _open_visit(self, environ: Environ) -> Visit:
        given = environ.get("HTTP_X_REQUEST_ID", "")
        device = environ.get("HTTP_X_DEVICE_ID", "")
        visit = Visit(
            request_id=given if _SANE_ID.match(given) else new_request_id(),
            method=environ["REQUEST_METHOD"],
            ip=self._origin.client_ip(environ),
            started=monotonic(),
            deadline=Deadline.after_ms(self._http.default_timeout_ms),
            languages=environ.get("HTTP_ACCEPT_LANGUAGE", ""),
            device_id=device if _DEVICE_ID.match(device) else "",
            referer=environ.get("HTTP_REFERER", ""),
        )
        if self._origin.is_tls(environ):
            visit.headers.extend(self._hsts)
        environ[ENVIRON_KEY] = visit
        return visit

    def _check(self, environ: Environ, visit: Visit) -> None:
        if refused := environ.get(REFUSED_KEY):
            raise KuaidaError("not a request we serve", reason=refused)
        wait = environ.get("HTTP_X_TIMEOUT_MS")
        if wait is not None:
            visit.deadline = Deadline.after_ms(self._milliseconds(wait))
            visit.patience = visit.deadline
        host = environ.get("HTTP_HOST", "")
        if not self._hosts.allows(host, local=self._origin.is_local(environ)):
            fault = FieldFault("Host", "invalid", "not a name of this service")
            raise InvalidInput("host not allowed", faults=(fault,))

    def _milliseconds(self, text: str) -> int:
        low, high = self._http.min_timeout_ms, self._http.max_timeout_ms
        if _MILLISECONDS.match(text) and low <= int(text) <= high:
            return int(text)
        fault = FieldFault("X-Timeout-Ms", "out_of_range", f"from {low} to {high}")
        raise InvalidInput("odd X-Timeout-Ms", faults=(fault,))

    def _note(self, visit: Visit, status: int) -> None:
        seconds = monotonic() - visit.started
        worked = seconds - visit.waited_s
        self._metrics.count(visit.route, visit.method, status, worked)
        if visit.referer:
            self._referer.look(visit.referer, visit.app_id)
        facts: dict[str, str | int | float] = {
            # Two texts of the client's; the route is our own template.
            "request_id": scrub(visit.request_id),
            "method": visit.method if visit.method in METHODS else "other",
            "route": visit.route,
            "status": status,
            "ms": round(seconds * 1000, 2),
        }
        if visit.user_id:
            facts["user_id"] = visit.user_id
            facts["app_id"] = visit.app_id
        if visit.reason:
            facts["reason"] = visit.reason
        _log.info("request", facts)


class NotedAtEnd:
    """A body that is noted when the server closes it: then its length is known."""

    def __init__(
        self, body: Iterable[bytes], visit: Visit, note: Callable[[], None]
    ) -> None:
        self._body = body
        self._visit = visit
        self._note = note
        self._began = monotonic()

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        """Close the body and write the request down."""
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            self._visit.waited_s += monotonic() - self._began
            self._note()


def new_request_id() -> str:
    """Return ``rq_`` and 18 random letters (72 bits).

    Letters only, and short: the redaction takes digit runs for phone numbers and
    searches words of 22 and more for secrets, which costs more than the request.
    """
    return "rq_" + os.urandom(9).hex().translate(_LETTERS)
