"""Settings of the way in: host names answered, proxies in front, TLS.

`web/hosts.py` and `web/origin.py` act on them; `deploy/nginx` is the other side.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated

from pydantic import BeforeValidator, Field

from config.host_names import HostName, read_entry
from config.setting_group import SettingGroup, split_list

Network = IPv4Network | IPv6Network


def parse_networks(value: object) -> object:
    """Read a comma separated list of networks and addresses; raises ValueError."""
    parts = split_list(value)
    return tuple(map(_network, parts)) if isinstance(parts, tuple) else parts


def _network(text: object) -> Network:
    try:
        return ip_network(str(text))
    except ValueError:
        message = f"{text!r} is no network: write 10.0.0.0/8, fd00::/8 or an address"
        raise ValueError(message) from None


def parse_hosts(value: object) -> object:
    """Read a comma separated list of host names; raises ValueError."""
    parts = split_list(value)
    if not isinstance(parts, tuple):
        return parts
    return tuple(p if isinstance(p, HostName) else read_entry(p) for p in parts)


# Who reaches us from these is this machine or a machine of our own network.
PRIVATE_NETWORKS: tuple[Network, ...] = (
    IPv4Network("127.0.0.0/8"),
    IPv6Network("::1/128"),
    IPv4Network("10.0.0.0/8"),
    IPv4Network("172.16.0.0/12"),
    IPv4Network("192.168.0.0/16"),
    IPv6Network("fc00::/7"),
)


class TransportSettings(SettingGroup):
    """Which names we answer to, and whom we believe about the client."""

    allowed_hosts: Annotated[tuple[HostName, ...], BeforeValidator(parse_hosts)] = (
        Field(
            (),
            alias="ALLOWED_HOSTS",
            description="Host names the public listener answers to, comma separated, "
            "exact; one with a port answers on that port only. Empty answers all, "
            "which production refuses. Health checks of this machine may name it, not "
            "through a proxy.",
        )
    )
    trusted_proxy_hops: int = Field(
        0,
        alias="TRUSTED_PROXY_HOPS",
        ge=0,
        le=8,
        description="Proxies of ours in front, counted from the right of "
        "X-Forwarded-For; 0 ignores the header, which anybody can forge.",
    )
    trusted_proxies: Annotated[tuple[Network, ...], BeforeValidator(parse_networks)] = (
        Field(
            PRIVATE_NETWORKS,
            alias="TRUSTED_PROXIES",
            description="Networks and addresses of the proxy that connects to us, "
            "comma separated; X-Forwarded-For and X-Forwarded-Proto of anybody else "
            "are ignored.",
        )
    )
    always_tls: bool = Field(
        default=False,
        alias="ALWAYS_TLS",
        description="true when every client comes over TLS although the proxy sends no "
        "X-Forwarded-Proto; answers then always carry HSTS.",
    )
    hsts_s: int = Field(
        31_536_000,
        alias="HSTS_S",
        ge=0,
        le=63_072_000,
        description="Seconds for which a client that came over TLS must come by it "
        "again; 0 sends no such header.",
    )
