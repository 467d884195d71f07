"""The door: everything that happens once for each request, whatever its route.

Request id, deadline, origin, allowed host, log line, metrics and security headers.
What is raised here or slips through the app is told by the ``refuse`` it was given.
"""

from __future__ import annotations

import os
import re
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any, Final

from config.clock import Deadline, monotonic
from config.logging import PlainLog, bind_context, clear_context
from config.redaction import scrub
from models.errors import FieldFault, InvalidInput, KuaidaError
from web.request_metrics import METHODS, RequestMetrics
from web.server.requests import REFUSED_KEY
from web.visit import ENVIRON_KEY, Visit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from config.settings import Settings

    Environ = dict[str, Any]
    StartResponse = Callable[..., Any]
    WsgiApp = Callable[[Environ, StartResponse], Iterable[bytes]]

# An id we repeat in headers and logs: no spaces, quotes or line ends.
_SANE_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}\Z")
_DEVICE_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}\Z")
_MILLISECONDS: Final = re.compile(r"[0-9]{1,6}\Z")
_IPV6_LIMIT_PREFIX: Final = 64  # one subscriber gets at least this much
SECURITY_HEADERS: Final = (
    ("X-Content-Type-Options", "nosniff"),
    ("Cache-Control", "no-store"),
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
    ) -> None:
        self._app = app
        self._refuse = refuse
        self._http = settings.http
        self._hops = settings.limits.trusted_proxy_hops
        self._hosts = frozenset(settings.limits.allowed_hosts)
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
            headers.extend(visit.headers)
            return start_response(line, headers, *rest)

        try:
            self._check(environ, visit)
            body = self._app(environ, start)
        except Exception as error:  # noqa: BLE001 -- the last resort of the house
            body = self._refuse(error, visit)(environ, start)
        finally:
            if not visit.streams:
                self._note(visit, status)
            clear_context()
        if visit.streams:
            return NotedAtEnd(body, visit, lambda: self._note(visit, status))
        return body

    def _open_visit(self, environ: Environ) -> Visit:
        given = environ.get("HTTP_X_REQUEST_ID", "")
        device = environ.get("HTTP_X_DEVICE_ID", "")
        visit = Visit(
            request_id=given if _SANE_ID.match(given) else new_request_id(),
            method=environ["REQUEST_METHOD"],
            ip=client_ip(environ, self._hops),
            started=monotonic(),
            deadline=Deadline.after_ms(self._http.default_timeout_ms),
            languages=environ.get("HTTP_ACCEPT_LANGUAGE", ""),
            device_id=device if _DEVICE_ID.match(device) else "",
        )
        environ[ENVIRON_KEY] = visit
        return visit

    def _check(self, environ: Environ, visit: Visit) -> None:
        if refused := environ.get(REFUSED_KEY):
            raise KuaidaError("not a request we serve", reason=refused)
        wait = environ.get("HTTP_X_TIMEOUT_MS")
        if wait is not None:
            visit.deadline = Deadline.after_ms(self._milliseconds(wait))
        if self._hosts and _host_name(environ) not in self._hosts:
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


def client_ip(environ: Environ, trusted_hops: int) -> str:
    """Return the client's address in its limit form: IPv4 whole, IPv6 as its /64.

    X-Forwarded-For counts only with ``trusted_hops`` proxies of ours in front, and
    then exactly so many places from the right; the rest anybody can write.
    """
    address = str(environ.get("REMOTE_ADDR", ""))
    if trusted_hops:
        chain = environ.get("HTTP_X_FORWARDED_FOR", "").split(",")
        if len(chain) >= trusted_hops:
            address = chain[-trusted_hops].strip()
    if ":" not in address and not trusted_hops:
        return address
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    mapped = getattr(parsed, "ipv4_mapped", None)
    if parsed.version == 4 or mapped:  # noqa: PLR2004 -- the protocol's own number
        return str(mapped or parsed)
    return str(ip_network((parsed, _IPV6_LIMIT_PREFIX), strict=False))


def _host_name(environ: Environ) -> str:
    host = str(environ.get("HTTP_HOST", "")).lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
