"""Which city an address is in, from a table of the operator's; see `IP_CITY_FILE`.

Only told to people about their own sessions; nothing is decided by it.
"""

from __future__ import annotations

import csv
from bisect import bisect_right
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING

from config.logging import get_logger

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

Network = IPv4Network | IPv6Network
MAX_CITY = 64

log = get_logger(__name__)


class IpCities:
    """A table of ``(network, city)``; of nested networks the inner one counts."""

    def __init__(self, rows: Iterable[tuple[Network, str]] = ()) -> None:
        by_version: dict[int, list[tuple[Network, str]]] = {4: [], 6: []}
        for network, city in rows:
            by_version[network.version].append((network, city))
        self._tables = {
            version: _boundaries(found) for version, found in by_version.items()
        }

    def find(self, address: str | None) -> str | None:
        """Return the city of an address or network (``2001:db8::/64``), None if none.

        Text that is no address is nowhere.
        """
        try:
            network = ip_network(address or "")
        except ValueError:
            return None
        starts, cities = self._tables[network.version]
        place = bisect_right(starts, int(network.network_address)) - 1
        return cities[place] if place >= 0 else None


def read_ip_cities(path: Path | None) -> IpCities:
    """Return the table in a CSV file of networks and cities; empty without one.

    A line that makes no sense is left out and counted: a city is an ornament.
    """
    if path is None:
        return IpCities()
    rows: list[tuple[Network, str]] = []
    rejected = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for line in csv.reader(file):
                row = _row(line)
                rows += [row] if row else []
                rejected += row is None
    except (OSError, UnicodeError) as error:
        log.warning("ip cities unreadable", cause=type(error).__name__)
    log.info("ip cities", accepted=len(rows), rejected=rejected)
    return IpCities(rows)


def _row(line: Sequence[str]) -> tuple[Network, str] | None:
    try:
        network, city = line
        return ip_network(network.strip()), city.strip()[:MAX_CITY]
    except ValueError:
        return None


def _boundaries(
    rows: Iterable[tuple[Network, str]],
) -> tuple[list[int], list[str | None]]:
    """Return where another city begins, and which one: sorted for bisection."""
    starts: list[int] = []
    cities: list[str | None] = []
    # The networks around the present address, the innermost last.
    around: list[tuple[int, str]] = []

    def begin(address: int, city: str | None) -> None:
        if starts and starts[-1] == address:
            cities[-1] = city
        else:
            starts.append(address)
            cities.append(city)

    def leave_before(address: int | None) -> None:
        while around and (address is None or around[-1][0] < address):
            end, _ = around.pop()
            begin(end + 1, around[-1][1] if around else None)

    for network, city in sorted(rows, key=_outer_first):
        leave_before(int(network.network_address))
        begin(int(network.network_address), city)
        around.append((int(network.broadcast_address), city))
    leave_before(None)
    return starts, cities


def _outer_first(row: tuple[Network, str]) -> tuple[int, int]:
    return int(row[0].network_address), row[0].prefixlen
