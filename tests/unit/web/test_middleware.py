"""The door: ids, deadlines, hosts, odd paths, log line and metrics."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from config.metrics import HTTP_REQUESTS
from web.app import create_app
from web.middleware import client_ip, new_request_id

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


@pytest.mark.parametrize(
    ("peer", "forwarded", "hops", "expected"),
    [
        ("1.2.3.4", "9.9.9.9", 0, "1.2.3.4"),
        ("1.2.3.4", "9.9.9.9, 8.8.8.8", 1, "8.8.8.8"),
        ("1.2.3.4", "9.9.9.9, 8.8.8.8", 2, "9.9.9.9"),
        ("1.2.3.4", "8.8.8.8", 2, "1.2.3.4"),
        ("1.2.3.4", "", 1, "unknown"),
        ("1.2.3.4", "evil\n", 1, "unknown"),
        ("2001:db8:1:2:3:4:5:6", "", 0, "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "", 0, "2001:db8:1:2::/64"),
        ("::ffff:1.2.3.4", "", 0, "1.2.3.4"),
        ("fe80::1%eth0", "", 0, "fe80::/64"),
        ("", "", 0, ""),
    ],
)
def test_finds_the_client_behind_proxies(
    peer: str, forwarded: str, hops: int, expected: str
) -> None:
    environ: dict[str, Any] = {"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": forwarded}
    assert client_ip(environ, hops) == expected


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
