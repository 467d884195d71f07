"""Where a request comes from: the client's address, and whether it came over TLS.

Both are said by our own proxies only; `config/transport_settings.py` names them. The
door asks once for each request, and limits count by the answer.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Any, Final

from config.setting_group import LOOPBACK

if TYPE_CHECKING:
    from config.transport_settings import TransportSettings

    Environ = dict[str, Any]

UNKNOWN: Final = "unknown"
# The few proxies, and the clients of a busy minute: a hit saves taking it apart.
REMEMBERED_PEERS: Final = 256
REMEMBERED_ADDRESSES: Final = 4096
_IPV6_LIMIT_PREFIX: Final = 64  # one subscriber gets at least this much
# Some proxies add the client's port.
_WITH_PORT: Final = re.compile(r"(?:\[([^\]]*)\]|([0-9.]+))(?::[0-9]{1,5})?\Z")
_BLANKS: Final = " \t"
# What proxies add to a request; one of them tells that somebody passes it on.
_PASSED_ON: Final = (
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_FORWARDED",
    "HTTP_X_REAL_IP",
    "HTTP_VIA",
)


class Origin:
    """What the proxies in front say, as far as the peer may speak for others.

    X-Real-IP and Forwarded are never believed: one way to say it is enough, and a
    proxy that sets one and passes the others on would let clients choose.
    """

    def __init__(self, transport: TransportSettings) -> None:
        self._hops = transport.trusted_proxy_hops
        self._proxies = transport.trusted_proxies
        self._always_tls = transport.always_tls
        self._is_proxy = lru_cache(REMEMBERED_PEERS)(self._is_listed)

    def client_ip(self, environ: Environ) -> str:
        """Return the client's address in its limit form: IPv4 whole, IPv6 as its /64.

        The last of so many proxies as there are hops wrote the place that counts,
        from the right; what stands further left anybody can write. A shorter chain
        did not pass them all: then the peer itself is counted.
        """
        peer = str(environ.get("REMOTE_ADDR", ""))
        if self._hops and self._is_proxy(peer):
            chain = self._places(environ.get("HTTP_X_FORWARDED_FOR", ""))
            if len(chain) >= self._hops:
                return limit_form(_without_port(chain[-self._hops].strip(_BLANKS)))
        return limit_form(peer)

    def is_local(self, environ: Environ) -> bool:
        """Whether the client itself is on this machine: nobody passed its request on.

        A proxy on this machine is a local peer of strangers, whose word for themselves
        counts for nothing here, however many hops are set.
        """
        if environ.get("REMOTE_ADDR") not in LOOPBACK:
            return False
        return not any(field in environ for field in _PASSED_ON)

    def is_tls(self, environ: Environ) -> bool:
        """Whether the client's own connection is encrypted.

        Inner proxies may pass the word of the outermost on instead of adding theirs:
        of a shorter chain the first counts.
        """
        if self._always_tls or not self._hops:
            return self._always_tls
        words = self._places(environ.get("HTTP_X_FORWARDED_PROTO", ""))
        if not words or not self._is_proxy(str(environ.get("REMOTE_ADDR", ""))):
            return False
        said = words[max(0, len(words) - self._hops)]
        return said.strip(_BLANKS).lower() == "https"

    def _places(self, header: str) -> list[str]:
        return header.rsplit(",", self._hops) if header else []

    def _is_listed(self, peer: str) -> bool:
        address = _parse(peer)
        return address is not None and any(address in net for net in self._proxies)


@lru_cache(REMEMBERED_ADDRESSES)
def limit_form(text: str) -> str:
    """Return the form under which an address is counted; `UNKNOWN` for garbage."""
    address = _parse(text)
    if address is None:
        return UNKNOWN
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((address.packed, _IPV6_LIMIT_PREFIX), strict=False))


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    try:
        # A zone names the interface of one machine, not the client.
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    # A socket that listens on both families shows IPv4 peers in IPv6 dress.
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address


def _without_port(entry: str) -> str:
    found = _WITH_PORT.match(entry)
    return (found.group(1) or found.group(2)) if found else entry
