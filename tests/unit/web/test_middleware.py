"""The door: ids, deadlines, hosts, odd paths, log line and metrics."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from config.metrics.requests import HTTP_REQUESTS
from web.app import create_app
from web.middleware import new_request_id
from web.ops_app import create_ops_app

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.testing import FlaskClient

    from config.settings import Settings
    from tests.unit.web.conftest import KeptLines
    from tests.unit.web.seams import House

HELLO = "/api/hello"


def test_answers_in_the_envelope(client: FlaskClient) -> None:
    answer = client.get(HELLO)
    body = answer.get_json()
    assert answer.status_code == 200
    assert answer.headers["X-Request-Id"] == body["request_id"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert int(answer.headers["Content-Length"]) == len(answer.data)
    assert body["code"] == 0
    assert body["msg"] == "ok"
    assert body["data"] == {"message": "hello from kuaida"}
    assert isinstance(body["server_time"], int)


def test_head_has_headers_and_no_body(client: FlaskClient) -> None:
    answer = client.head(HELLO)
    assert answer.status_code == 200
    assert int(answer.headers["Content-Length"]) > 0
    assert answer.data == b""


def test_echoes_a_sane_request_id(client: FlaskClient) -> None:
    answer = client.get(HELLO, headers={"X-Request-Id": "phone-1.a:B_2"})
    assert answer.headers["X-Request-Id"] == "phone-1.a:B_2"
    assert answer.get_json()["request_id"] == "phone-1.a:B_2"


@pytest.mark.parametrize("odd", ["", "a b", "x" * 65, "é", '"', "-a", "a\tb"])
def test_replaces_an_odd_request_id(client: FlaskClient, odd: str) -> None:
    answer = client.get(HELLO, headers={"X-Request-Id": odd})
    assert re.fullmatch(r"rq_[a-p]{18}", answer.headers["X-Request-Id"])


def test_request_ids_differ() -> None:
    assert len({new_request_id() for _ in range(1000)}) == 1000


@pytest.mark.parametrize("odd", ["", "0", "99", "30001", "-5", "1.5", "1e3", "abc"])
def test_refuses_an_odd_timeout(client: FlaskClient, odd: str) -> None:
    answer = client.get(HELLO, headers={"X-Timeout-Ms": odd})
    body = answer.get_json()
    assert (answer.status_code, body["reason"]) == (400, "validation_failed")
    assert body["errors"][0]["field"] == "X-Timeout-Ms"


def test_hands_the_deadline_down(client: FlaskClient, house: House) -> None:
    client.post(
        "/api/v1/auth/login",
        json={"code": "abc"},
        headers={"X-Timeout-Ms": "100", "X-Device-Id": "d-1"},
    )
    (_, caller) = house.sessions.logins[0]
    assert caller.deadline.remaining_s() <= 0.1
    assert caller.device_id == "d-1"


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/nope", 404, "not_found"),
        ("/", 404, "not_found"),
        ("/api/hello/", 404, "not_found"),
        ("/api//hello", 404, "not_found"),
        ("/%00", 404, "not_found"),
        ("/api/hello%00", 404, "not_found"),
        ("/%2e%2e/%2e%2e/etc/passwd", 404, "not_found"),
        ("/%ff%fe", 404, "not_found"),
        ("/API/HELLO", 404, "not_found"),
        ("/api/v1/auth/login", 405, "method_not_allowed"),
    ],
)
def test_odd_paths_get_the_envelope(
    client: FlaskClient, path: str, status: int, reason: str
) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.get_json()["reason"]) == (status, reason)


@pytest.mark.parametrize("method", ["POST", "OPTIONS", "TRACE", "DELETE", "BREW"])
def test_other_methods_are_refused_with_allow(client: FlaskClient, method: str) -> None:
    answer = client.open(HELLO, method=method)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", ["/api/v1/me/export", "/api/v1/events"])
def test_a_head_begins_nothing_and_waits_for_nothing(
    client: FlaskClient, signed_in: dict[str, str], path: str
) -> None:
    answer = client.head(path, headers=signed_in)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET"
    assert client.head("/api/v1/me", headers=signed_in).status_code == 200


def test_speaks_the_language_asked_for(client: FlaskClient) -> None:
    words = {
        header: client.get("/nope", headers={"Accept-Language": header}).get_json()
        for header in ("", "en", "fr", "zh-CN,en;q=0.8", "en-US,zh;q=0.1", ";;q=x")
    }
    english = [h for h, body in words.items() if body["msg"] == "There is nothing here"]
    assert english == ["en", "en-US,zh;q=0.1"]


def test_writes_one_line_a_request(client: FlaskClient, log: KeptLines) -> None:
    client.get("/api/hello?token=very-secret", headers={"X-Request-Id": "r-1"})
    (line,) = (json.loads(raw) for raw in log.lines)
    assert line["event"] == "request"
    assert line["route"] == HELLO
    assert line["method"] == "GET"
    assert line["status"] == 400
    assert line["request_id"] == "r-1"
    assert line["reason"] == "validation_failed"
    assert "very-secret" not in log.text()


def test_names_the_user_in_the_line(
    client: FlaskClient, log: KeptLines, signed_in: dict[str, str]
) -> None:
    client.get("/api/v1/me", headers=signed_in)
    line = json.loads(log.lines[-1])
    assert line["user_id"] == "u_one"
    assert line["app_id"] == "wxdemo0000000001"
    assert signed_in["Authorization"] not in log.text()


def test_an_unexpected_error_is_told_as_internal(
    client: FlaskClient, house: House, log: KeptLines
) -> None:
    house.sessions.error = ZeroDivisionError("secret detail")
    answer = client.post("/api/v1/auth/login", json={"code": "abc"})
    body = answer.get_json()
    assert (answer.status_code, body["code"], body["reason"]) == (
        500,
        50001,
        "internal",
    )
    assert "secret detail" not in answer.text
    assert "ZeroDivisionError" not in answer.text
    failed, request = (json.loads(raw) for raw in log.lines)
    assert failed["error"] == "ZeroDivisionError"
    assert "Traceback" in failed["exception"]
    assert request["status"] == 500


def count(route: str, method: str, status: str) -> float:
    return HTTP_REQUESTS.labels(route, method, status)._value.get()  # type: ignore[no-any-return]


def test_counts_by_route_template(client: FlaskClient) -> None:
    before = count(HELLO, "GET", "200"), count("unmatched", "other", "404")
    client.get(HELLO)
    client.open("/x1", method="BREW")
    client.open("/x2", method="STEEP")
    after = count(HELLO, "GET", "200"), count("unmatched", "other", "404")
    assert after == (before[0] + 1, before[1] + 2)


def test_answers_only_allowed_hosts(
    make_settings: Callable[..., Settings], house: House
) -> None:
    settings = make_settings(ALLOWED_HOSTS="api.example.cn,::1")
    client = create_app(settings, services=house.services).test_client()
    status = {
        host: client.get(HELLO, headers={"Host": host}).status_code
        for host in ("api.example.cn", "API.example.cn:443", "[::1]:80", "evil.cn", "")
    }
    assert list(status.values()) == [200, 200, 200, 400, 400]


@pytest.mark.parametrize("hops", ["0", "1"])
def test_strangers_behind_a_proxy_of_this_machine_may_not_name_it(
    make_settings: Callable[..., Settings], house: House, hops: str
) -> None:
    settings = make_settings(ALLOWED_HOSTS="api.example.cn", TRUSTED_PROXY_HOPS=hops)
    client = create_app(settings, services=house.services).test_client()
    named = {"Host": "localhost"}
    passed_on = named | {"X-Forwarded-For": "203.0.113.7"}
    assert client.get(HELLO, headers=named).status_code == 200
    assert client.get(HELLO, headers=passed_on).status_code == 400


def test_the_internal_listener_answers_to_every_name(
    make_settings: Callable[..., Settings], house: House
) -> None:
    settings = make_settings(ALLOWED_HOSTS="api.example.cn")
    client = create_ops_app(settings, services=house.services).test_client()
    assert client.get("/healthz", headers={"Host": "ops:8001"}).status_code == 200


SAFE = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


@pytest.mark.parametrize("path", [HELLO, "/nope", f"{HELLO}?x=1", "/api/v1/me"])
def test_every_answer_tells_browsers_to_keep_off(
    client: FlaskClient, path: str
) -> None:
    headers = client.get(path).headers
    for name, value in SAFE.items():
        assert headers.getlist(name) == [value]
    assert "Server" not in headers
    assert "Strict-Transport-Security" not in headers


@pytest.mark.parametrize(
    ("variables", "proto", "expected"),
    [
        ({}, "https", []),
        ({"TRUSTED_PROXY_HOPS": "1"}, "https", ["max-age=31536000"]),
        ({"TRUSTED_PROXY_HOPS": "1"}, "http", []),
        ({"TRUSTED_PROXY_HOPS": "1"}, None, []),
        ({"TRUSTED_PROXY_HOPS": "1", "TRUSTED_PROXIES": "10.0.0.1"}, "https", []),
        ({"TRUSTED_PROXY_HOPS": "1", "HSTS_S": "60"}, "https", ["max-age=60"]),
        ({"TRUSTED_PROXY_HOPS": "1", "HSTS_S": "0"}, "https", []),
        ({"ALWAYS_TLS": "true"}, None, ["max-age=31536000"]),
    ],
    ids=str,
)
def test_who_came_over_tls_is_told_to_stay(
    make_settings: Callable[..., Settings],
    house: House,
    variables: dict[str, str],
    proto: str | None,
    expected: list[str],
) -> None:
    app = create_app(make_settings(**variables), services=house.services)
    headers = {} if proto is None else {"X-Forwarded-Proto": proto}
    for path in (HELLO, "/nope"):
        answer = app.test_client().get(path, headers=headers)
        assert answer.headers.getlist("Strict-Transport-Security") == expected
