"""Reading host names as they stand in `Host` fields and in ALLOWED_HOSTS.

`config/transport_settings.py` reads the list, `web/hosts.py` what requests say.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address
from typing import Final, NamedTuple

_HOST: Final = re.compile(
    r"(?:\[([0-9a-f:.]{2,45})\]|([a-z0-9][a-z0-9._-]{0,252}))(?::([0-9]{1,5}))?\Z"
)


class HostName(NamedTuple):
    """A name or address, lower case and without brackets; port empty if not said."""

    name: str
    port: str


def read_host(text: str) -> HostName | None:
    """Return what ``text`` (``name``, ``name:port``, ``[v6]:port``) names, or None."""
    found = _HOST.match(text.lower())
    if found is None:
        return None
    address, name, port = found.groups("")
    if address:
        name = _shortest(address)
    return HostName(name, port) if name else None


def read_entry(text: str) -> HostName:
    """Return one entry of a list, where IPv6 may do without brackets.

    Raises ValueError naming the entry.
    """
    bare = _shortest(text)
    host = HostName(bare, "") if bare else read_host(text)
    if host is None:
        message = f"{text!r} is no host name: exact names, no patterns, no scheme"
        raise ValueError(message)
    return host


def _shortest(text: str) -> str:
    """Return an IPv6 address in its one canonical form, empty for anything else."""
    try:
        address = ip_address(text)
    except ValueError:
        return ""
    return str(address) if isinstance(address, IPv6Address) else ""
