"""Login, refresh, logout and profile over seams in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from config.clock import now_ms
from models.errors import (
    DatabaseUnavailable,
    Forbidden,
    Limited,
    LoginCodeInvalid,
    RedisUnavailable,
    Unauthenticated,
    Upstream,
)
from models.stores.admission import Admission
from models.stores.admission import Caller as LimitCaller
from tests.unit.web.seams import new_house
from web.app import create_app

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.testing import FlaskClient

    from config.settings import Settings
    from tests.unit.web.seams import House

LOGIN = "/api/v1/auth/login"
REFRESH = "/api/v1/auth/refresh"
LOGOUT = "/api/v1/auth/logout"
ME = "/api/v1/me"


def test_login_answers_tokens_and_user(client: FlaskClient, house: House) -> None:
    device = {"id": "d-1", "model": "iPhone 15", "platform": "ios"}
    answer = client.post(LOGIN, json={"code": "abc", "device": device})
    data = answer.get_json()["data"]
    assert answer.status_code == 200
    assert data["token_type"] == "Bearer"
    assert data["user"]["id"] == "u_one"
    assert data["enrichment"] == {"state": "pending"}
    assert data["is_new"] is None
    request, caller = house.sessions.logins[0]
    assert request.code == "abc"
    assert request.device is not None
    assert request.device.model == "iPhone 15"
    assert caller.ip == "127.0.0.1"
    assert house.admission.asked == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"code": ""},
        {"code": "a b"},
        {"code": "a\x00"},
        {"code": "a" * 129},
        {"code": 5},
        {"code": "abc", "openid": "o123"},
        {"code": "abc", "device": {}},
        {"code": "abc", "device": {"id": "x" * 65}},
        {"code": "abc", "device": {"id": "d", "model": "a\x00"}},
        {"code": "abc", "device": {"id": "d", "role": "admin"}},
        {"code": "abc", "app_id": "../x"},
    ],
    ids=str,
)
def test_login_refuses_odd_bodies(
    client: FlaskClient, house: House, body: dict[str, Any]
) -> None:
    answer = client.post(LOGIN, json=body)
    assert answer.status_code == 400
    assert answer.get_json()["errors"]
    assert house.sessions.logins == []


@pytest.mark.parametrize(
    ("error", "status", "code", "action"),
    [
        (LoginCodeInvalid(), 400, 40010, "relogin"),
        (Forbidden(reason="high_risk_user"), 403, 40303, "none"),
        (Limited(retry_after_ms=1500), 429, 42901, "wait"),
        (Limited(reason="locked_out", retry_after_ms=1), 429, 42902, "wait"),
        (Upstream(), 502, 50201, "retry"),
        (Upstream(reason="wechat_timeout"), 504, 50401, "retry"),
        (Upstream(reason="wechat_unavailable"), 503, 50302, "wait"),
        (DatabaseUnavailable(), 503, 50301, "wait"),
    ],
    ids=str,
)
def test_login_tells_each_refusal(
    client: FlaskClient, house: House, *, error: Exception, status: int, code: int,
    action: str,
) -> None:  # fmt: skip
    house.sessions.error = error
    answer = client.post(LOGIN, json={"code": "abc"})
    body = answer.get_json()
    assert (answer.status_code, body["code"], body["action"]) == (status, code, action)
    wait = getattr(error, "retry_after_ms", None)
    assert body.get("retry_after_ms") == wait
    seconds = None if wait is None else str(max(1, -(-wait // 1000)))
    assert answer.headers.get("Retry-After") == seconds


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{}", "text/plain", 415),
        (b"{}", "", 415),
        (b'{"code":"a","code":"b"}', "application/json", 400),
        (b"[1]", "application/json", 400),
        (b'{"code":"' + b"x" * 70_000 + b'"}', "application/json", 413),
        (b"", "application/json", 400),
    ],
)
def test_bodies_are_strict(
    client: FlaskClient, body: bytes, content_type: str, status: int
) -> None:
    answer = client.post(LOGIN, data=body, content_type=content_type)
    assert answer.status_code == status
    assert answer.get_json()["code"] // 100 == status


def test_refresh_rotates(client: FlaskClient, house: House) -> None:
    token = house.sessions.tokens().refresh_token
    answer = client.post(REFRESH, json={"refresh_token": token})
    assert answer.get_json()["data"]["session_id"] == "se_one"
    assert house.admission.asked[0][0] == "write"


def test_refresh_reused_says_relogin(client: FlaskClient, house: House) -> None:
    house.sessions.error = Unauthenticated(reason="refresh_reused")
    answer = client.post(REFRESH, json={"refresh_token": "x"})
    assert (answer.status_code, answer.get_json()["action"]) == (401, "relogin")


def test_logout_ends_sessions(
    client: FlaskClient, house: House, signed_in: dict[str, str]
) -> None:
    for scope in ("this", "others", "all"):
        answer = client.post(LOGOUT, json={"scope": scope}, headers=signed_in)
        assert answer.get_json()["data"] == {"revoked": 1}
    client.post(LOGOUT, json={}, headers=signed_in)
    assert house.sessions.ended[-1] == ("se_one", "this")
    odd = client.post(LOGOUT, json={"scope": "everyone"}, headers=signed_in)
    assert odd.status_code == 400


def test_reads_me_and_tells_the_limit(
    client: FlaskClient, house: House, signed_in: dict[str, str]
) -> None:
    answer = client.get(ME, headers=signed_in)
    assert answer.get_json()["data"]["id"] == "u_one"
    assert answer.headers["RateLimit-Limit"] == "5"
    assert answer.headers["RateLimit-Remaining"] == "4"
    assert answer.headers["RateLimit-Reset"] == "1"
    asked = LimitCaller("127.0.0.1", user="u_one", app="wxdemo0000000001")
    assert house.admission.asked == [("read", asked, "se_one")]


@pytest.mark.parametrize("name", ["👨‍👩‍👧", "a\u3000b", "ـعربي", "é"])
def test_names_of_all_scripts_are_names(
    client: FlaskClient, signed_in: dict[str, str], name: str
) -> None:
    answer = client.patch(ME, json={"nickname": name}, headers=signed_in)
    assert answer.get_json()["data"]["nickname"] == name


def test_changes_me(client: FlaskClient, signed_in: dict[str, str]) -> None:
    changes = {"nickname": "小明 😀", "gender": 1, "city": ""}
    answer = client.patch(ME, json=changes, headers=signed_in)
    data = answer.get_json()["data"]
    assert (data["nickname"], data["gender"], data["city"]) == ("小明 😀", 1, "")
    assert data["avatar_url"] is None


@pytest.mark.parametrize(
    "body",
    [
        {"nickname": ""},
        {"nickname": None},
        {"nickname": "x" * 65},
        {"nickname": "a\x00b"},
        {"nickname": "a\n"},
        {"nickname": "\u200b\u3000"},
        {"nickname": "a\u202eb"},
        {"nickname": "a\x85b"},
        {"city": "\uffff"},
        {"gender": 3},
        {"gender": True},
        {"gender": 1.5},
        {"gender": "1"},
        {"city": "x" * 65},
        {"avatar_url": "http://x.cn/a.png"},
        {"id": "u_two"},
        {"is_guest": False},
        {"phone_masked": "1"},
    ],
    ids=str,
)
def test_refuses_odd_changes(
    client: FlaskClient, house: House, signed_in: dict[str, str], body: dict[str, Any]
) -> None:
    answer = client.patch(ME, json=body, headers=signed_in)
    assert answer.status_code == 400
    assert house.profiles.fields == {}


def test_a_revoked_session_is_out(
    client: FlaskClient, house: House, signed_in: dict[str, str]
) -> None:
    house.admission.admission = Admission("revoked")
    answer = client.get(ME, headers=signed_in)
    assert answer.get_json()["reason"] == "session_revoked"
    assert house.sessions.confirmed == []


def test_sql_decides_what_redis_does_not_know(
    client: FlaskClient, house: House, signed_in: dict[str, str]
) -> None:
    house.admission.admission = Admission("unknown")
    assert client.get(ME, headers=signed_in).status_code == 200
    assert [claims.session_id for claims in house.sessions.confirmed] == ["se_one"]
    house.sessions.error = Unauthenticated(reason="session_revoked")
    assert client.get(ME, headers=signed_in).status_code == 401


def test_without_redis_sql_decides_and_the_process_limits(
    make_settings: Callable[..., Settings],
) -> None:
    settings = make_settings(RATE_LIMITS='{"read.user": "2/0.001"}')
    house = new_house(settings, now_ms())
    house.admission.error = RedisUnavailable()
    client = create_app(settings, services=house.services).test_client()
    headers = {"Authorization": f"Bearer {house.sessions.tokens().access_token}"}
    found = [client.get(ME, headers=headers).status_code for _ in range(3)]
    assert found == [200, 200, 429]
    assert len(house.sessions.confirmed) == 2


def test_without_both_stores_nobody_passes(
    client: FlaskClient, house: House, signed_in: dict[str, str]
) -> None:
    house.admission.error = RedisUnavailable()
    house.sessions.error = DatabaseUnavailable()
    answer = client.get(ME, headers=signed_in)
    assert (answer.status_code, answer.get_json()["reason"]) == (503, "unavailable")
    assert answer.headers["Retry-After"] == "1"


def test_a_limited_request_waits(
    client: FlaskClient, house: House, signed_in: dict[str, str]
) -> None:
    house.admission.error = Limited(retry_after_ms=2100)
    answer = client.get(ME, headers=signed_in)
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "3"
    assert answer.get_json()["retry_after_ms"] == 2100


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ME), ("PATCH", ME), ("POST", LOGOUT)],
)
def test_user_routes_need_a_token(client: FlaskClient, method: str, path: str) -> None:
    answer = client.open(path, method=method, json={})
    assert answer.get_json()["reason"] == "token_missing"
