"""The table of cities: nesting, edges, both families, lines that make no sense."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.ip_cities import IpCities, read_ip_cities

if TYPE_CHECKING:
    from pathlib import Path

TABLE = """\
10.0.0.0/8,Outer
10.1.0.0/16,Inner
10.1.2.0/24,Innermost
10.255.255.255/32,Last
2001:db8::/32,Six
0.0.0.0/32,First
"""


@pytest.fixture
def cities(tmp_path: Path) -> IpCities:
    file = tmp_path / "cities.csv"
    file.write_text(TABLE, encoding="utf-8")
    return read_ip_cities(file)


@pytest.mark.parametrize(
    ("address", "city"),
    [
        ("0.0.0.0", "First"),
        ("0.0.0.1", None),
        ("9.255.255.255", None),
        ("10.0.0.0", "Outer"),
        ("10.1.0.0", "Inner"),
        ("10.1.2.3", "Innermost"),
        ("10.1.3.0", "Inner"),
        ("10.2.0.0", "Outer"),
        ("10.255.255.255", "Last"),
        ("11.0.0.0", None),
        ("2001:db8:1:2::/64", "Six"),
        ("2001:db9::/64", None),
        ("unknown", None),
        ("", None),
        (None, None),
    ],
)
def test_the_innermost_network_counts(
    cities: IpCities, address: str | None, city: str | None
) -> None:
    assert cities.find(address) == city


def test_lines_without_sense_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "cities.csv"
    file.write_text("network,city\n\n10.0.0.1/8,X\n1.0.0.0/8, 深圳 \nno\n", "utf-8")

    found = read_ip_cities(file)

    assert (found.find("1.2.3.4"), found.find("10.0.0.1")) == ("深圳", None)


def test_without_a_table_nobody_is_anywhere(tmp_path: Path) -> None:
    assert read_ip_cities(None).find("1.2.3.4") is None
    assert read_ip_cities(tmp_path / "none.csv").find("1.2.3.4") is None


NETWORKS = st.lists(
    st.tuples(st.integers(0, 255), st.integers(24, 32)).map(
        lambda made: ip_network((f"1.2.3.{made[0]}", made[1]), strict=False)
    ),
    max_size=12,
    unique=True,
)


@given(networks=NETWORKS, last=st.integers(0, 255))
def test_bisection_finds_what_a_search_does(networks: list[object], last: int) -> None:
    table = [(network, str(network)) for network in networks]
    address = ip_address(f"1.2.3.{last}")
    around = [(n.prefixlen, city) for n, city in table if address in n]  # type: ignore[attr-defined,operator] # networks by construction

    found = IpCities(table).find(str(address))  # type: ignore[arg-type] # as above

    assert found == (max(around)[1] if around else None)
