"""From bytes on a connection to a WSGI environ: parsing, limits, refusals.

llhttp (through httptools) parses; this file bounds it and refuses what two servers
could read differently (RFC 9112 sections 2.2, 3.2, 6.3 and 11.2).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes

import httptools

if TYPE_CHECKING:
    from collections.abc import Callable

REFUSED_KEY: Final = "kuaida.refused"
# Fields of which a second one would let two readers disagree.
_SINGLE: Final = frozenset(
    {b"host", b"content-type", b"content-length", b"transfer-encoding"}
)
_PLAIN_NAMES: Final = {
    b"content-type": "CONTENT_TYPE",
    b"content-length": "CONTENT_LENGTH",
}
_CONTROL: Final = frozenset(range(32)) - {9} | {127}
_CONTROL_BYTES: Final = bytes(sorted(_CONTROL))


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Bounds of a request's head, in bytes and fields."""

    line: int = 4094
    fields: int = 50
    field: int = 4096
    head: int = 32_768


class Refused(Exception):
    """The bytes are no request we serve; ``reason`` is one of the contract's."""

    def __init__(self, detail: str, reason: str = "validation_failed") -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(slots=True)
class Incoming:
    """One request as far as it has arrived."""

    target: bytes = b""
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    method: str = ""
    version: str = "1.1"
    keeps_alive: bool = True
    headed: bool = False
    complete: bool = False
    body: bytearray = field(default_factory=bytearray)


class RequestParser:
    """Feeds llhttp and collects requests, the unfinished one last."""

    def __init__(self, limits: RequestLimits) -> None:
        self._limits = limits
        self._head_bytes = 0
        self.requests: list[Incoming] = []
        self._parser = httptools.HttpRequestParser(self)

    def feed(self, data: bytes) -> None:
        """Take what arrived; raises `Refused`."""
        waits_for_head = not self.requests or not self.requests[-1].headed
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserInvalidMethodError as error:
            raise Refused("unknown method", "method_not_allowed") from error
        except httptools.HttpParserCallbackError as error:
            raise _cause_of(error) from error
        except httptools.HttpParserError as error:
            raise Refused(type(error).__name__) from error
        except httptools.HttpParserUpgrade as error:
            self._stay(error)
        if waits_for_head and (not self.requests or not self.requests[-1].headed):
            self._head_bytes += len(data)
            if self._head_bytes > self._limits.head:
                raise Refused("head too large")

    def _stay(self, upgrade: Exception) -> None:
        """Ignore an offer to change the protocol (RFC 9110 7.8); no tunnels."""
        request = self.requests[-1]
        if request.method == "CONNECT":
            raise Refused("no tunnel") from upgrade
        # The parser reads nothing after it: answer this request and part.
        request.complete = True
        request.keeps_alive = False

    def on_message_begin(self) -> None:
        """Start the next request."""
        self.requests.append(Incoming())
        self._head_bytes = 0

    def on_url(self, part: bytes) -> None:
        """Take a piece of the target."""
        request = self.requests[-1]
        request.target += part
        if len(request.target) > self._limits.line:
            raise Refused("target too long")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one field of the head."""
        request = self.requests[-1]
        if request.headed:
            # A trailer: no proxy has looked at it, so it must not pass for a field
            # of the head (RFC 9110 6.5.1).
            return
        if len(request.fields) >= self._limits.fields:
            raise Refused("too many fields")
        if len(name) + len(value) > self._limits.field:
            raise Refused("field too large")
        request.fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Note what the head says of the request."""
        request = self.requests[-1]
        request.method = self._parser.get_method().decode("ascii")
        request.version = self._parser.get_http_version()
        request.keeps_alive = self._parser.should_keep_alive()
        request.headed = True

    def on_body(self, part: bytes) -> None:
        """Take a piece of the body."""
        self.requests[-1].body += part

    def on_message_complete(self) -> None:
        """Note the end of the body."""
        self.requests[-1].complete = True


def _cause_of(error: BaseException) -> Refused:
    cause = error.__context__ or error.__cause__
    return cause if isinstance(cause, Refused) else Refused("unreadable")


def new_environ(base: dict[str, Any], request: Incoming) -> dict[str, Any]:
    """Return the environ of ``request`` over ``base``; raises `Refused`."""
    environ = base.copy()
    environ["REQUEST_METHOD"] = request.method
    environ["SERVER_PROTOCOL"] = f"HTTP/{request.version}"
    path, _, query = _origin_form(request.target).partition(b"?")
    if b"%" in path:
        path = unquote_to_bytes(path)
    environ["PATH_INFO"] = path.decode("latin-1")
    environ["QUERY_STRING"] = query.decode("latin-1")
    _add_fields(environ, request)
    return environ


def _origin_form(target: bytes) -> bytes:
    if not target.isascii() or target.translate(None, _CONTROL_BYTES) != target:
        raise Refused("odd byte in the target")
    if target.startswith(b"/"):
        return target
    # absolute-form: only a proxy sends it, but every server must accept it.
    scheme, separator, rest = target.partition(b"://")
    if separator and scheme.lower() in {b"http", b"https"}:
        _, slash, path = rest.partition(b"/")
        return slash + path if slash else b"/"
    raise Refused("odd target")


def _add_fields(environ: dict[str, Any], request: Incoming) -> None:
    seen: set[bytes] = set()
    for name, value in request.fields:
        if name in _SINGLE and name in seen:
            raise Refused("repeated field")
        if value.translate(None, _CONTROL_BYTES) != value:
            raise Refused("control byte in a field")
        key = _KEYS.get(name) or _key(name)
        text = value.decode("latin-1").strip()
        if name in seen:
            text = f"{environ[key]},{text}"
        seen.add(name)
        environ[key] = text
    if b"host" not in seen and request.version == "1.1":
        raise Refused("no Host")
    if b"transfer-encoding" in seen:
        _check_transfer_encoding(environ, seen)


def _check_transfer_encoding(environ: dict[str, Any], seen: set[bytes]) -> None:
    coding = environ["HTTP_TRANSFER_ENCODING"].lower()
    # HTTP/1.0 knows no chunks: a proxy may have seen another body (RFC 9112 6.1).
    old = environ["SERVER_PROTOCOL"] == "HTTP/1.0"
    if coding != "chunked" or b"content-length" in seen or old:
        raise Refused("odd transfer encoding")
    environ["wsgi.input_terminated"] = True


_KEYS: Final[dict[bytes, str]] = dict(_PLAIN_NAMES)
# Names are the client's: remember only so many.
_REMEMBERED_NAMES: Final = 200


def _key(name: bytes) -> str:
    if b"_" in name:
        # `x_y` and `x-y` would be one name in the environ.
        raise Refused("underscore in a field name")
    key = "HTTP_" + name.decode("latin-1").upper().replace("-", "_")
    if len(_KEYS) < _REMEMBERED_NAMES:
        _KEYS[name] = key
    return key


class BodyReader:
    """``wsgi.input``: what has arrived of the body, then what the socket brings."""

    def __init__(self, request: Incoming, pull: Callable[[], bool]) -> None:
        self._request = request
        self._pull = pull

    @property
    def complete(self) -> bool:
        """Whether the whole body is here, so that no read will wait."""
        return self._request.complete

    def read(self, size: int = -1) -> bytes:
        """Return up to ``size`` bytes, all with -1; empty at the end."""
        body = self._request.body
        while not self._request.complete and (size < 0 or len(body) < size):
            if not self._pull():
                break
        wanted = len(body) if size < 0 else size
        part = bytes(body[:wanted])
        del body[:wanted]
        return part
