"""Whom we believe about the client: the listed peer, and as many places as proxies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from web.origin import Origin, limit_form

if TYPE_CHECKING:
    from collections.abc import Callable

    from config.settings import Settings

    Opener = Callable[..., Origin]

PROXY = "10.0.0.9"


@pytest.fixture
def origin(make_settings: Callable[..., Settings]) -> Opener:
    def opened(hops: int, **variables: str) -> Origin:
        settings = make_settings(TRUSTED_PROXY_HOPS=str(hops), **variables)
        return Origin(settings.transport)

    return opened


def environ(peer: str, forwarded: str | None = None, **others: str) -> dict[str, Any]:
    made: dict[str, Any] = {"REMOTE_ADDR": peer, **others}
    if forwarded is not None:
        made["HTTP_X_FORWARDED_FOR"] = forwarded
    return made


@pytest.mark.parametrize(
    ("forwarded", "hops", "expected"),
    [
        # spoofed entries on the left, however many, never matter
        ("9.9.9.9", 0, PROXY),
        ("8.8.8.8", 1, "8.8.8.8"),
        ("9.9.9.9, 8.8.8.8", 1, "8.8.8.8"),
        ("1.1.1.1," * 90 + "8.8.8.8", 1, "8.8.8.8"),
        ("evil,\"';--,8.8.8.8", 1, "8.8.8.8"),
        ("9.9.9.9, 8.8.8.8", 2, "9.9.9.9"),
        ("6.6.6.6, 9.9.9.9, 8.8.8.8", 2, "9.9.9.9"),
        # a chain that did not pass all proxies
        ("8.8.8.8", 2, PROXY),
        (None, 1, PROXY),
        ("", 1, PROXY),
        # what no proxy writes
        ("evil", 1, "unknown"),
        ("8.8.8.8,", 1, "unknown"),
        (" ", 1, "unknown"),
        ("unix:", 1, "unknown"),
        ("1.2.3.4.5", 1, "unknown"),
        ("1.2.3.04", 1, "unknown"),
        ("[::1", 1, "unknown"),
        ("1.2.3.4:x", 1, "unknown"),
        ("1.2.3.4:123456", 1, "unknown"),
        # ports, brackets, blanks
        ("8.8.8.8:4711", 1, "8.8.8.8"),
        ("[2001:db8:1:2:3::4]:4711", 1, "2001:db8:1:2::/64"),
        ("[2001:db8:1:2:3::4]", 1, "2001:db8:1:2::/64"),
        ("9.9.9.9,\t 8.8.8.8 ", 1, "8.8.8.8"),
        # one client, one form
        ("2001:db8:1:2:ffff::1", 1, "2001:db8:1:2::/64"),
        ("2001:0DB8:0001:0002::1", 1, "2001:db8:1:2::/64"),
        ("::ffff:8.8.8.8", 1, "8.8.8.8"),
        ("[::ffff:808:808]:80", 1, "8.8.8.8"),
        ("fe80::1%eth0", 1, "fe80::/64"),
    ],
)
def test_as_many_places_from_the_right_as_proxies(
    origin: Opener, forwarded: str | None, hops: int, expected: str
) -> None:
    assert origin(hops).client_ip(environ(PROXY, forwarded)) == expected


@pytest.mark.parametrize(
    ("peer", "believed"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("172.31.255.255", True),
        ("192.168.1.1", True),
        ("fd12::1", True),
        ("::ffff:10.0.0.1", True),
        ("172.32.0.1", False),
        ("203.0.113.7", False),
        ("2001:db8::1", False),
        ("::ffff:203.0.113.7", False),
        ("", False),
        ("nonsense", False),
    ],
)
def test_only_a_listed_peer_is_believed(
    origin: Opener, peer: str, *, believed: bool
) -> None:
    asked = environ(peer, "8.8.8.8", HTTP_X_FORWARDED_PROTO="https")

    assert (origin(1).client_ip(asked) == "8.8.8.8") is believed
    assert origin(1).is_tls(asked) is believed


def test_the_list_is_the_operators(origin: Opener) -> None:
    opened = origin(1, TRUSTED_PROXIES="203.0.113.7, 2001:db8::/32")

    for peer in ("203.0.113.7", "2001:db8:9::1"):
        assert opened.client_ip(environ(peer, "8.8.8.8")) == "8.8.8.8"
    for peer in ("203.0.113.8", "127.0.0.1", PROXY):
        assert opened.client_ip(environ(peer, "8.8.8.8")) == peer


def test_other_ways_to_say_it_are_not_heard(origin: Opener) -> None:
    others = {"HTTP_X_REAL_IP": "9.9.9.9", "HTTP_FORWARDED": "for=9.9.9.9;proto=https"}

    for hops in (0, 1):
        asked = environ(PROXY, **others)
        assert origin(hops).client_ip(asked) == PROXY
        assert not origin(hops).is_tls(asked)


@pytest.mark.parametrize("hops", [0, 1, 2])
@pytest.mark.parametrize(
    ("peer", "headers", "local"),
    [
        ("127.0.0.1", {}, True),
        ("::1", {}, True),
        ("203.0.113.7", {}, False),
        ("", {}, False),
        # a proxy on this machine, and what its clients say of themselves
        ("127.0.0.1", {"HTTP_X_FORWARDED_FOR": "203.0.113.7"}, False),
        ("127.0.0.1", {"HTTP_X_FORWARDED_FOR": "127.0.0.1, 203.0.113.7"}, False),
        ("127.0.0.1", {"HTTP_X_FORWARDED_FOR": ""}, False),
        ("127.0.0.1", {"HTTP_X_FORWARDED_PROTO": "https"}, False),
        ("127.0.0.1", {"HTTP_FORWARDED": "for=127.0.0.1"}, False),
        ("127.0.0.1", {"HTTP_X_REAL_IP": "127.0.0.1"}, False),
        ("127.0.0.1", {"HTTP_VIA": "1.1 proxy"}, False),
    ],
)
def test_a_local_client_is_one_nobody_speaks_for(
    origin: Opener, hops: int, peer: str, headers: dict[str, str], *, local: bool
) -> None:
    assert origin(hops).is_local(environ(peer, **headers)) is local


@pytest.mark.parametrize(
    ("said", "hops", "tls"),
    [
        ("https", 0, False),
        ("https", 1, True),
        ("HTTPS ", 1, True),
        ("http", 1, False),
        ("https, http", 1, False),
        ("http, https", 1, True),
        ("https, http", 2, True),
        ("https", 2, True),
        ("httpsx", 1, False),
        ("", 1, False),
    ],
)
def test_tls_is_told_by_the_same_place(
    origin: Opener, said: str, hops: int, *, tls: bool
) -> None:
    assert origin(hops).is_tls(environ(PROXY, HTTP_X_FORWARDED_PROTO=said)) is tls


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
        ("127.0.0.1\n", "unknown"),
    ],
)
def test_addresses_are_counted_in_one_form(text: str, form: str) -> None:
    assert limit_form(text) == form
