"""What the check lets in, what it remembers, and what a key's end takes along.

What it refuses stands in `tests/identity/twists.py`.
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

import jwt
import pytest

from config.clock import now_ms
from config.jwt_keys import rotate
from config.secrets import secrets_directory
from models.errors import Unauthenticated
from tests.unit.web.seams import GRANT, grant_at
from web.app import create_app
from web.auth import REMEMBERED_TOKENS, TokenCheck
from web.services.keyring import kid_of
from web.services.tokens import TokenSigner

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from flask.testing import FlaskClient

    from config.settings import Settings
    from tests.still_clock import StillClock
    from tests.unit.web.seams import House

ME = "/api/v1/me"


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


def forge(settings: Settings, payload: dict[str, Any], key: bytes = b"") -> str:
    key = key or settings.secrets.jwt_key
    return jwt.encode(payload, key, algorithm="HS256", headers={"kid": kid_of(key)})


def answer(client: FlaskClient, header: str) -> tuple[int, Any]:
    told = client.get(ME, headers={"Authorization": header})
    return told.status_code, told.get_json()


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_lets_our_own_token_in(
    client: FlaskClient, settings: Settings, scheme: str
) -> None:
    assert answer(client, f"{scheme} {forge(settings, claims())}")[0] == 200


def test_the_ten_claims_of_the_contract_are_enough(
    client: FlaskClient, settings: Settings, house: House
) -> None:
    ten = claims()
    app_id = ten.pop("app")
    assert len(ten) == 10

    assert answer(client, f"Bearer {forge(settings, ten)}")[0] == 200
    ((_, caller, session_id),) = house.admission.asked
    assert (caller.app, session_id) == (app_id, "se_one")

    for name in ten:
        nine = {key: value for key, value in ten.items() if key != name}
        assert answer(client, f"Bearer {forge(settings, nine)}")[0] == 401, name


def test_among_several_apps_the_session_says_which(
    make_settings: Callable[..., Settings], house: House
) -> None:
    apps = [{"app_id": f"wxdemo000000000{n}", "secret": str(n) * 32} for n in (8, 9)]
    settings = make_settings(WECHAT_APPS=json.dumps(apps))
    client = create_app(settings, services=house.services).test_client()
    ten = claims()
    del ten["app"]
    token = forge(settings, ten)

    assert answer(client, f"Bearer {token}")[0] == 200
    assert house.admission.asked[-1][1].app == GRANT.app_id
    house.sessions.error = Unauthenticated(reason="session_revoked")
    assert answer(client, f"Bearer {token}")[0] == 401
    assert answer(client, f"Bearer {forge(settings, claims())}")[0] == 200


def test_an_expired_token_says_refresh(client: FlaskClient, settings: Settings) -> None:
    old = now_ms() // 1000 - 1000
    token = forge(settings, claims(iat=old, nbf=old, exp=old + 900))
    status, told = answer(client, f"Bearer {token}")
    assert (status, told["reason"]) == (401, "token_expired")
    assert told["action"] == "refresh"


def test_clocks_may_differ_by_the_leeway(
    client: FlaskClient, settings: Settings
) -> None:
    now = now_ms() // 1000
    late = claims(iat=now - 800, nbf=now - 800, exp=now - 20)
    assert answer(client, f"Bearer {forge(settings, late)}")[0] == 200
    ahead = claims(nbf=now + 20, iat=now + 20)
    assert answer(client, f"Bearer {forge(settings, ahead)}")[0] == 200


def test_a_refusal_names_the_scheme(client: FlaskClient) -> None:
    told = client.get(ME)
    assert told.headers["WWW-Authenticate"] == "Bearer"


def test_a_remembered_token_still_expires(app: Flask, settings: Settings) -> None:
    check = TokenCheck(app, settings)
    now = now_ms() // 1000
    token = forge(settings, claims(iat=now - 900, nbf=now - 900, exp=now - 5))
    with app.app_context():
        assert check.claims(f"Bearer {token}").user_id == "u_one"
        assert check.claims(f"Bearer {token}").user_id == "u_one"
        # Its leeway passes.
        app.config["JWT_DECODE_LEEWAY"] = 0
        with pytest.raises(Unauthenticated) as refused:
            check.claims(f"Bearer {token}")
    assert refused.value.reason == "token_expired"


def test_the_memory_of_tokens_is_bounded(app: Flask, settings: Settings) -> None:
    check, signer = TokenCheck(app, settings), TokenSigner(settings)
    with app.app_context():
        for generation in range(1, REMEMBERED_TOKENS + 10):
            grant = grant_at(now_ms(), generation=generation)
            check.claims(f"Bearer {signer.sign(grant).access_token}")
    assert len(check._seen) == REMEMBERED_TOKENS


def test_a_token_of_an_ended_key_is_forgotten(
    app: Flask, make_settings: Callable[..., Settings], clock: StillClock
) -> None:
    settings = make_settings()
    check, folder = TokenCheck(app, settings), secrets_directory(settings.var_dir)
    old = f"Bearer {forge(settings, claims())}"
    with app.app_context():
        check.claims(old)
        rotate(folder, now=now_ms(), overlap_ms=10_000)
        clock.move(1)
        new = bytes.fromhex((folder / "jwt_key").read_text())
        # The new key's first token makes this process look; both verify now.
        check.claims(f"Bearer {forge(settings, claims(), new)}")
        check.claims(old)
        clock.move(10)
        with pytest.raises(Unauthenticated) as refused:
            check.claims(old)
        check.claims(f"Bearer {forge(settings, claims(), new)}")
    assert refused.value.reason == "token_invalid"


def test_the_second_key_of_the_environment_verifies(
    app: Flask, make_settings: Callable[..., Settings]
) -> None:
    second = secrets.token_bytes(32)
    settings = make_settings(JWT_KEY_PREVIOUS=second.hex())
    check = TokenCheck(app, settings)
    token = forge(settings, claims(), second)
    with app.app_context():
        assert check.claims(f"Bearer {token}").session_id == "se_one"
    signed = TokenSigner(settings).sign(grant_at(now_ms()))
    header = jwt.get_unverified_header(signed.access_token)
    assert header["kid"] != kid_of(second)
