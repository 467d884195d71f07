"""From bytes on a connection to requests: llhttp parses, this file bounds it.

`web/server/environ.py` refuses what llhttp lets through and makes WSGI of the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import httptools

REFUSED_KEY: Final = "kuaida.refused"
_VERSIONS: Final = frozenset({"1.0", "1.1"})
# A body in chunks of one byte costs six bytes a byte. What costs more, by extensions
# of chunks or endless trailers, is sent to keep us busy.
_FRAMING_PER_BYTE: Final = 8
_OFFER: Final = frozenset({b"upgrade", b"connection"})


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Bounds of a request's head, in bytes and fields."""

    line: int = 4094
    fields: int = 50
    field: int = 16_384
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
    # Bytes of the body so far, and those around them that are none.
    received: int = 0
    framing: int = 0


class RequestParser:
    """Feeds llhttp and collects requests, the unfinished one last."""

    def __init__(self, limits: RequestLimits) -> None:
        self._limits = limits
        self._head_bytes = 0
        self.requests: list[Incoming] = []
        self._parser = httptools.HttpRequestParser(self)

    def feed(self, data: bytes) -> None:
        """Take what arrived; raises `Refused`."""
        last = self.requests[-1] if self.requests else None
        waits_for_head = last is None or not last.headed
        received = last.received if last else 0
        self._parse(data)
        if waits_for_head and (not self.requests or not self.requests[-1].headed):
            self._head_bytes += len(data)
            if self._head_bytes > self._limits.head:
                raise Refused("head too large")
        if last and not waits_for_head and not last.complete:
            self._bound_framing(last, len(data) - (last.received - received))

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserInvalidMethodError as error:
            raise Refused("unknown method", "method_not_allowed") from error
        except httptools.HttpParserCallbackError as error:
            raise _cause_of(error) from error
        except httptools.HttpParserError as error:
            raise Refused(type(error).__name__) from error
        except httptools.HttpParserUpgrade as offer:
            # It names how many bytes it has taken: the head ends there.
            self._stay(offer, data[offer.args[0] :])

    def _bound_framing(self, request: Incoming, more: int) -> None:
        request.framing += more
        fair = self._limits.head + _FRAMING_PER_BYTE * request.received
        if request.framing > fair:
            raise Refused("more framing than body")

    def _stay(self, offer: Exception, rest: bytes) -> None:
        """Ignore an offer to change the protocol (RFC 9110 7.8); no tunnels."""
        request = self.requests.pop()
        if request.method == "CONNECT":
            raise Refused("no tunnel") from offer
        # The parser would skip the body. Another one reads the same head without the
        # offer, and nothing after this request: a proxy may take that for a tunnel.
        start = b"%b %b HTTP/%b" % (
            request.method.encode(),
            request.target,
            request.version.encode(),
        )
        kept = [b"%b: %b" % pair for pair in request.fields if pair[0] not in _OFFER]
        head = b"\r\n".join([start, *kept, b"connection: close", b"", b""])
        self._parser = httptools.HttpRequestParser(self)
        self._parse(head + rest)

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
        if request.version not in _VERSIONS:
            raise Refused("another version")
        request.keeps_alive = self._parser.should_keep_alive()
        request.headed = True

    def on_body(self, part: bytes) -> None:
        """Take a piece of the body."""
        request = self.requests[-1]
        request.body += part
        request.received += len(part)

    def on_message_complete(self) -> None:
        """Note the end of the body."""
        self.requests[-1].complete = True


def _cause_of(error: BaseException) -> Refused:
    cause = error.__context__ or error.__cause__
    return cause if isinstance(cause, Refused) else Refused("unreadable")
