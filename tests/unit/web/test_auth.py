"""Sixty ways to twist a token, none of which is let in."""

from __future__ import annotations

import base64
import json
import warnings
from typing import TYPE_CHECKING, Any

import jwt
import pytest

from config.clock import now_ms
from tests.unit.web.seams import GRANT_FIELDS
from web.auth import REMEMBERED_TOKENS, TokenCheck
from web.services.tokens import Grant, TokenSigner

if TYPE_CHECKING:
    from flask import Flask
    from flask.testing import FlaskClient

    from config.settings import Settings

ME = "/api/v1/me"
REQUIRED = ("iss", "aud", "sub", "jti", "iat", "nbf", "exp", "type", "sid", "ep", "app")


def claims(**changes: Any) -> dict[str, Any]:
    now = now_ms() // 1000
    return {
        "iss": "kuaida",
        "aud": "kuaida-client",
        "sub": "u_one",
        "jti": "se_one.1",
        "iat": now,
        "nbf": now,
        "exp": now + 900,
        "type": "access",
        "sid": "se_one",
        "ep": 0,
        "app": "wxdemo0000000001",
    } | changes


def forge(
    settings: Settings,
    payload: dict[str, Any],
    *,
    algorithm: str = "HS256",
    key: bytes | None = None,
    **headers: Any,
) -> str:
    return jwt.encode(
        payload,
        key or settings.secrets.jwt_key,
        algorithm=algorithm,
        headers={"kid": "k1"} | headers,
    )


def reason(client: FlaskClient, token: str) -> tuple[int, str]:
    answer = client.get(ME, headers={"Authorization": f"Bearer {token}"})
    return answer.status_code, answer.get_json().get("reason", "")


def test_lets_our_own_token_in(client: FlaskClient, settings: Settings) -> None:
    assert reason(client, forge(settings, claims())) == (200, "")


@pytest.mark.parametrize("name", REQUIRED)
def test_every_claim_is_required(
    client: FlaskClient, settings: Settings, name: str
) -> None:
    payload = claims()
    del payload[name]
    assert reason(client, forge(settings, payload)) == (401, "token_invalid")


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "other"},
        {"iss": ["kuaida"]},
        {"aud": "other"},
        {"aud": ["kuaida-client", "other"]},
        {"type": "refresh"},
        {"type": None},
        {"type": "ACCESS"},
        {"sub": 1},
        {"sub": None},
        {"jti": 5},
        {"sid": ["se_one"]},
        {"ep": "0"},
        {"ep": True},
        {"app": None},
        {"exp": "9999999999"},
        {"exp": 1e300},
        {"exp": None},
        {"iat": "now"},
        {"iat": 9_999_999_999},
        {"nbf": 9_999_999_999},
        {"exp": 4_000_000_000},
        {"ep": -1},
        {"jti": "zzz"},
        {"jti": "se_other.1"},
        {"jti": "se_one.x"},
        {"nbf": []},
    ],
    ids=str,
)
def test_every_claim_has_its_type_and_value(
    client: FlaskClient, settings: Settings, change: dict[str, Any]
) -> None:
    token = _encode_raw(settings, claims(**change))
    assert reason(client, token) == (401, "token_invalid")


def _encode_raw(settings: Settings, payload: dict[str, Any]) -> str:
    # PyJWT checks the types of what it signs, an attacker with a key would not.
    algorithm = jwt.get_algorithm_by_name("HS256")
    header = _b64(json.dumps({"alg": "HS256", "typ": "JWT", "kid": "k1"}).encode())
    signed = f"{header}.{_b64(json.dumps(payload).encode())}".encode()
    key = algorithm.prepare_key(settings.secrets.jwt_key)
    return f"{signed.decode()}.{_b64(algorithm.sign(signed, key))}"


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_only_one_algorithm(
    client: FlaskClient, settings: Settings, algorithm: str
) -> None:
    with warnings.catch_warnings(action="ignore"):  # it finds our key short for it
        token = forge(settings, claims(), algorithm=algorithm)
    assert reason(client, token) == (401, "token_invalid")


def test_no_unsigned_token(client: FlaskClient) -> None:
    for name in ("none", "None", "NONE", ""):
        header = _b64(json.dumps({"alg": name, "kid": "k1"}).encode())
        body = _b64(json.dumps(claims()).encode())
        assert reason(client, f"{header}.{body}.AA") == (401, "token_invalid")
        assert reason(client, f"{header}.{body}.") == (401, "token_invalid")


@pytest.mark.parametrize(
    "kid", ["", "k2", "../../etc/passwd", "k1' OR 1=1", "x" * 400, "k1\n"]
)
def test_the_key_comes_from_a_fixed_list(
    client: FlaskClient, settings: Settings, kid: str
) -> None:
    token = forge(settings, claims(), kid=kid)
    assert reason(client, token) == (401, "token_invalid")


@pytest.mark.parametrize(
    "headers",
    [
        {"crit": ["exp"]},
        {"crit": ["b64"], "b64": False},
        {"kid": None},
        {"kid": 1},
    ],
    ids=str,
)
def test_odd_headers(
    client: FlaskClient, settings: Settings, headers: dict[str, Any]
) -> None:
    header = {"alg": "HS256", "typ": "JWT", "kid": "k1"} | headers
    algorithm = jwt.get_algorithm_by_name("HS256")
    signed = (
        f"{_b64(json.dumps(header).encode())}.{_b64(json.dumps(claims()).encode())}"
    )
    mac = algorithm.sign(signed.encode(), settings.secrets.jwt_key)
    assert reason(client, f"{signed}.{_b64(mac)}") == (401, "token_invalid")


@pytest.mark.parametrize("headers", [{"jku": "https://evil.cn"}, {"jwk": {"k": "x"}}])
def test_headers_that_name_keys_are_ignored(
    client: FlaskClient, settings: Settings, headers: dict[str, Any]
) -> None:
    forged = forge(settings, claims(), key=b"x" * 32, **headers)
    assert reason(client, forged) == (401, "token_invalid")


def test_another_key(client: FlaskClient, settings: Settings) -> None:
    token = forge(settings, claims(), key=b"x" * 32)
    assert reason(client, token) == (401, "token_invalid")


def test_a_changed_byte(client: FlaskClient, settings: Settings) -> None:
    token = forge(settings, claims())
    assert reason(client, token) == (200, "")
    for at in (0, 10, len(token) // 2, len(token) - 5):
        changed = "A" if token[at] != "A" else "B"
        twisted = token[:at] + changed + token[at + 1 :]
        assert reason(client, twisted) == (401, "token_invalid")


def test_an_expired_token_says_refresh(client: FlaskClient, settings: Settings) -> None:
    old = now_ms() // 1000 - 1000
    token = forge(settings, claims(iat=old, nbf=old, exp=old + 900))
    answer = client.get(ME, headers={"Authorization": f"Bearer {token}"})
    assert answer.get_json()["reason"] == "token_expired"
    assert answer.get_json()["action"] == "refresh"


def test_clocks_may_differ_by_the_leeway(
    client: FlaskClient, settings: Settings
) -> None:
    now = now_ms() // 1000
    assert reason(client, forge(settings, claims(exp=now - 20)))[0] == 200
    ahead = claims(nbf=now + 20, iat=now + 20)
    assert reason(client, forge(settings, ahead))[0] == 200


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, "token_missing"),
        ("", "token_invalid"),
        ("Bearer", "token_invalid"),
        ("Bearer ", "token_invalid"),
        ("Bearer  {}", "token_invalid"),
        (" Bearer {}", "token_invalid"),
        ("Bearer {} ", "token_invalid"),
        ("Bearer\t{}", "token_invalid"),
        ("Bearer {0},Bearer {0}", "token_invalid"),
        ("Bearer {0} {0}", "token_invalid"),
        ("Basic {}", "token_invalid"),
        ("Token {}", "token_invalid"),
        ("{}", "token_invalid"),
        ("Bearer {}.x", "token_invalid"),
        ("Bearer " + "a" * 5000, "token_invalid"),
        ("Bearer a.b.c", "token_invalid"),
        ("Bearer 中.文.字", "token_invalid"),
    ],
)
def test_exactly_one_bearer_token(
    app: Flask, settings: Settings, header: str | None, expected: str
) -> None:
    token = forge(settings, claims())
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": ME}
    if header is not None:
        text = header.format(token)
        environ["HTTP_AUTHORIZATION"] = text.encode().decode("latin-1")
    answer = app.test_client().open(environ_overrides=environ)
    assert answer.status_code == 401
    assert answer.get_json()["reason"] == expected
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_token_in_the_query_is_refused(
    client: FlaskClient, settings: Settings
) -> None:
    token = forge(settings, claims())
    answer = client.get(f"{ME}?jwt={token}")
    assert answer.get_json()["reason"] == "token_missing"


def test_a_remembered_token_still_expires(app: Flask, settings: Settings) -> None:
    check = TokenCheck(app, settings)
    now = now_ms() // 1000
    header = f"Bearer {forge(settings, claims(exp=now - 29))}"
    with app.app_context():
        assert check.claims(header).user_id == "u_one"
        assert check.claims(header).user_id == "u_one"


def test_the_memory_of_tokens_is_bounded(app: Flask, settings: Settings) -> None:
    check, signer = TokenCheck(app, settings), TokenSigner(settings)
    with app.app_context():
        for generation in range(REMEMBERED_TOKENS + 10):
            grant = Grant(*GRANT_FIELDS[:3], generation, now_ms())
            check.claims(f"Bearer {signer.sign(grant).access_token}")
    assert len(check._seen) == REMEMBERED_TOKENS
