"""nginx.conf and the settings agree: sizes, patience, headers, words, one upstream."""

from __future__ import annotations

import json
import re

import pytest

from config.event_settings import EventSettings
from config.process_settings import HttpSettings
from config.transport_settings import TransportSettings
from tests.architecture.documents import compose
from tests.architecture.sources import ROOT
from web.app import PUBLIC_ROUTES
from web.errors import PROBLEMS
from web.middleware import SECURITY_HEADERS
from web.server.requests import RequestLimits
from web.visit import DATA_ONLY

CONF = (ROOT / "deploy/nginx/nginx.conf").read_text()
GUNICORN = (ROOT / "config/gunicorn.py").read_text()
BARE = re.sub(r"#.*", "", CONF)
HTTP = HttpSettings.model_validate({})
UNITS = {"": 1, "k": 1024, "m": 1024 * 1024, "s": 1}


def values(name: str) -> list[str]:
    """Return what stands after a directive, each time it is used."""
    value = r'((?:"[^"]*"|[^;"])+)'
    return re.findall(rf"(?:^|[{{;])\s*{name}\s+{value};", BARE, re.MULTILINE)


def number(name: str, *, place: int = 0) -> int:
    """Return a directive's number in seconds or bytes."""
    found = re.fullmatch(r"(\d+)([kms]?)", values(name)[place])
    assert found, values(name)
    return int(found[1]) * UNITS[found[2]]


def test_bodies_may_be_as_large_as_the_largest_route_takes() -> None:
    largest = max(route.spec.body_bytes(HTTP) for route in PUBLIC_ROUTES)

    assert number("client_max_body_size") == largest
    # Otherwise they go through a file.
    assert number("client_body_buffer_size") >= largest


def test_heads_may_be_as_large_as_ours() -> None:
    # One buffer: HTTP/2 has no answer to a field that fits none, so ours refuses it.
    lines, size = values("large_client_header_buffers")[0].split()

    assert (lines, size) == ("1", "32k")
    assert RequestLimits().head == 32 * 1024
    assert RequestLimits().field == 16 * 1024
    assert "limit_request_field_size = 16_384" in GUNICORN


def test_nobody_is_waited_for_longer_than_we_wait() -> None:
    assert number("client_header_timeout") == HTTP.keepalive_s
    assert number("send_timeout") == HTTP.worker_timeout_s


def test_bodies_end_by_our_deadline_and_not_by_the_proxys() -> None:
    assert values("proxy_request_buffering") == ["off"]
    assert number("client_body_timeout") > HTTP.body_deadline_s
    # It would be half a minute: more than the body had.
    assert number("lingering_time") == HTTP.keepalive_s


def test_requests_end_by_our_deadlines_and_not_by_the_proxys() -> None:
    read = number("proxy_read_timeout")

    assert read * 1000 > HTTP.max_timeout_ms
    assert read > 2 * EventSettings.model_validate({}).heartbeat_s


def test_connections_to_us_are_left_before_we_close_them() -> None:
    ours = [number("keepalive_timeout", place=n) for n in range(2)]

    assert ours[0] > HTTP.keepalive_s > ours[1]


def test_only_the_public_listener_is_reached() -> None:
    servers = [value for value in values("server") if "{" not in value]

    assert servers == [f"web:{HTTP.web_port}"]
    assert set(values("proxy_pass")) == {"http://public_api"}
    assert str(HTTP.ops_port) not in BARE


def test_lines_are_passed_on_at_once() -> None:
    block = re.search(r"location = /api/v1/events \{(.*?)\}", BARE, re.DOTALL)

    assert block
    assert "proxy_buffering off;" in block[1]
    assert any(route.path == "/api/v1/events" for route in PUBLIC_ROUTES)


def test_only_new_tls_without_tickets() -> None:
    assert values("ssl_protocols") == ["TLSv1.2 TLSv1.3"]
    assert values("ssl_session_tickets") == ["off"]
    ciphers = values("ssl_ciphers")[0].split(":")
    assert all(re.match(r"ECDHE-(RSA|ECDSA)-.*(GCM|POLY1305)", c) for c in ciphers)


def test_its_own_answers_carry_our_headers() -> None:
    added = dict(value.split(" ", 1) for value in values("add_header"))
    told = {name: value.removesuffix(" always") for name, value in added.items()}

    for name, value in (*SECURITY_HEADERS, ("Content-Security-Policy", DATA_ONLY)):
        assert told[name].strip('"') == value
    hsts_s = TransportSettings.model_validate({}).hsts_s
    assert values("on") == [f"max-age={hsts_s}"]


@pytest.mark.parametrize("words", re.findall(r"'(\"code\":.*?)';", CONF))
def test_its_own_answers_say_what_ours_say(words: str) -> None:
    said = json.loads("{" + words + "}")
    problem = PROBLEMS[said["reason"]]

    assert (said["code"], said["action"]) == (problem.code, problem.action)
    assert said["msg"] == problem.zh


def test_nothing_of_a_person_is_written_down() -> None:
    line = re.search(r"log_format facts .*?;", CONF, re.DOTALL)
    assert line
    private = r"\$(request|request_uri|uri|args|query_string|remote_\w+|http_\w+)\b"

    assert re.findall(private, line[0]) == []
    assert values("error_log") == ["/dev/stderr alert"]
    assert set(values("access_log")) == {"/dev/stdout facts", "off"}


def test_compose_mounts_this_file_and_believes_this_proxy_alone() -> None:
    services = compose()["services"]
    nginx = services["nginx"]
    address = nginx["networks"]["front"]["ipv4_address"]

    assert "./deploy/nginx/nginx.conf:/etc/nginx/nginx.conf:ro" in nginx["volumes"]
    assert set(nginx["networks"]) == {"front"}
    members = {n for n, s in services.items() if "front" in s.get("networks", ())}
    assert members == {"nginx", "web"}
    environment = services["web"]["environment"]
    assert environment["TRUSTED_PROXY_HOPS"] == "${TRUSTED_PROXY_HOPS:-1}"
    assert environment["TRUSTED_PROXIES"] == f"${{TRUSTED_PROXIES-{address}}}"
