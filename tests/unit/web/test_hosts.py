"""The list of names answered, held against what clients write into Host."""

from __future__ import annotations

import pytest

from config.transport_settings import parse_hosts
from web.hosts import AllowedHosts


def allows(listed: str, host: str, *, local: bool = False) -> bool:
    hosts = AllowedHosts(parse_hosts(listed))  # type: ignore[arg-type]
    return hosts.allows(host, local=local)


@pytest.mark.parametrize(
    "host",
    [
        "api.example.cn",
        "API.Example.CN",
        "api.example.cn:443",
        "api.example.cn:1",
        "b.example.cn:8443",
        "[2001:db8::1]",
        "[2001:DB8:0:0::1]:8000",
        "192.0.2.1:80",
    ],
)
def test_listed_names_are_answered(host: str) -> None:
    listed = "api.example.cn, b.example.cn:8443, 2001:db8::1, 192.0.2.1"

    assert allows(listed, host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        " ",
        "evil.cn",
        "api.example.cn.evil.cn",
        "evil.api.example.cn",
        "example.cn",
        "api.example.cn.",
        "api.example.cn:",
        "api.example.cn:80:80",
        "api.example.cn:x",
        "api.example.cn:123456",
        "api.example.cn@evil.cn",
        "evil.cn@api.example.cn",
        "api.example.cn/",
        "api.example.cn,api.example.cn",
        "api.example.cn api.example.cn",
        "api.example.cn\n",
        "http://api.example.cn",
        "b.example.cn",
        "b.example.cn:443",
        "[::1]evil.cn",
        "[::1",
        "::1]",
        "[]",
        "[v1.x]",
        "[api.example.cn]",
        "аpi.example.cn",  # noqa: RUF001 -- a Cyrillic letter that looks like ours
        "x" * 300,
        "*",
    ],
)
def test_every_other_name_is_refused(host: str) -> None:
    assert not allows("api.example.cn, b.example.cn:8443", host)


def test_an_empty_list_answers_all() -> None:
    assert allows("", "whoever")
    assert allows("", "")


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "[::1]:8000"])
def test_a_health_check_of_this_machine_may_name_it(host: str) -> None:
    assert allows("api.example.cn", host, local=True)
    assert not allows("api.example.cn", host)
    assert not allows("api.example.cn", "evil.cn", local=True)
