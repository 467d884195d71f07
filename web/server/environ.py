"""From a parsed request to WSGI's environ, refusing what two servers read differently.

RFC 9112 sections 2.2, 3.2, 6.3 and 11.2; see `web/server/requests.py` for parsing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes

from web.server.requests import Incoming, Refused

if TYPE_CHECKING:
    from collections.abc import Callable

# The connection itself, for apps that wait: see `Line` in `web/services/listeners.py`.
LINE_KEY: Final = "kuaida.line"
# Fields of which a second one would let two readers disagree.
_SINGLE: Final = frozenset(
    {b"host", b"content-type", b"content-length", b"transfer-encoding"}
)
_PLAIN_NAMES: Final = {
    b"content-type": "CONTENT_TYPE",
    b"content-length": "CONTENT_LENGTH",
}
# Without user names: no proxy sends them, and `good.cn@evil.cn` misleads.
_ABSOLUTE: Final = re.compile(rb"(?i:https?)://([^/?#@]+)((?:[/?][^#]*)?)\Z")
_CONTROL: Final = frozenset(range(32)) - {9} | {127}
_CONTROL_BYTES: Final = bytes(sorted(_CONTROL))


def new_environ(base: dict[str, Any], request: Incoming) -> dict[str, Any]:
    """Return the environ of ``request`` over ``base``; raises `Refused`."""
    environ = base.copy()
    environ["REQUEST_METHOD"] = request.method
    environ["SERVER_PROTOCOL"] = f"HTTP/{request.version}"
    target, authority = _origin_form(request.target)
    path, _, query = target.partition(b"?")
    if b"%" in path:
        path = unquote_to_bytes(path)
    environ["PATH_INFO"] = path.decode("latin-1")
    environ["QUERY_STRING"] = query.decode("latin-1")
    _add_fields(environ, request)
    if authority:
        # The target names the host; the field beside it counts no more (9112 3.2.2).
        environ["HTTP_HOST"] = authority
    return environ


def _origin_form(target: bytes) -> tuple[bytes, str]:
    """Return path and query, and the authority if the target names one."""
    if not target.isascii() or target.translate(None, _CONTROL_BYTES) != target:
        raise Refused("odd byte in the target")
    if target.startswith(b"/"):
        return target, ""
    # absolute-form: only a proxy sends it, but every server must accept it.
    absolute = _ABSOLUTE.match(target)
    if absolute is None:
        raise Refused("odd target")
    authority, rest = absolute.groups()
    return (rest if rest[:1] == b"/" else b"/" + rest), authority.decode("ascii")


def _add_fields(environ: dict[str, Any], request: Incoming) -> None:
    seen: set[bytes] = set()
    for name, value in request.fields:
        if name in _SINGLE and name in seen:
            raise Refused("repeated field")
        if value.translate(None, _CONTROL_BYTES) != value:
            raise Refused("control byte in a field")
        key = _KEYS.get(name) or _key(name)
        # Not every blank Python knows: a no-break space belongs to the value.
        text = value.decode("latin-1").strip(" \t")
        if name in seen:
            # With the blank of RFC 9110 5.3, which no single word holds.
            text = f"{environ[key]}, {text}"
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
