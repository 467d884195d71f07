"""Which names the public listener answers to; `config/host_names.py` reads them.

A request for another name is somebody else's: a forged link, a rebound DNS name, a
scanner that tries addresses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from config.host_names import read_host
from config.setting_group import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Iterable

    from config.host_names import HostName


class AllowedHosts:
    """The list as requests are held against it; an empty one allows every name."""

    def __init__(self, listed: Iterable[HostName]) -> None:
        hosts = tuple(listed)
        self._any_port: Final = frozenset(h.name for h in hosts if not h.port)
        self._exactly: Final = frozenset(h for h in hosts if h.port)
        self._checks: Final = bool(hosts)

    def allows(self, host: str, *, local: bool) -> bool:
        """Whether to answer a Host field; ``local``: the client is on this machine.

        A health check on this machine names the machine: who is here already gains
        nothing by a name.
        """
        if not self._checks or host in self._any_port:
            return True
        read = read_host(host)
        if read is None:
            return False
        if read.name in self._any_port or read in self._exactly:
            return True
        return local and read.name in LOOPBACK
