"""Tokens are a function of their grant; refresh tokens are read back strictly."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import jwt
import msgspec
import pytest
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as run_settings
from hypothesis import strategies as st

from config.clock import now_ms
from models.errors import Unauthenticated
from web.services.keyring import kid_of
from web.services.tokens import (
    MAX_REFRESH_TOKEN,
    Grant,
    TokenSigner,
    generation_of,
    token_id,
)

if TYPE_CHECKING:
    from config.settings import Settings

LENIENT = run_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

STARTED = now_ms()


@pytest.fixture
def signer(settings: Settings) -> TokenSigner:
    return TokenSigner(settings)


def grant(**changes: Any) -> Grant:
    at = changes.get("issued_at", now_ms())
    fresh = Grant("se_1", "u_1", "wx1", 3, at, 2, at, "secret")
    return msgspec.structs.replace(fresh, **changes)


def test_the_same_grant_gives_the_same_tokens(
    signer: TokenSigner, settings: Settings
) -> None:
    one = grant()

    assert signer.sign(one) == TokenSigner(settings).sign(one)
    assert signer.sign(one) != signer.sign(grant(generation=4))


def test_the_access_token_is_a_plain_jwt_with_our_claims(
    signer: TokenSigner, settings: Settings
) -> None:
    one = grant()
    tokens = signer.sign(one)

    claims = jwt.decode(
        tokens.access_token,
        settings.secrets.jwt_key,
        ["HS256"],
        audience="kuaida-client",
        issuer="kuaida",
    )

    assert claims["sub"] == "u_1"
    assert claims["sid"] == tokens.session_id == "se_1"
    assert claims["app"] == "wx1"
    assert claims["jti"] == "se_1.3"
    assert claims["exp"] - claims["iat"] == tokens.expires_in == 900
    assert jwt.get_unverified_header(tokens.access_token) == {
        "alg": "HS256",
        "kid": kid_of(settings.secrets.jwt_key),
        "typ": "JWT",
    }
    assert tokens.refresh_in < tokens.expires_in


@LENIENT
@given(
    session=st.text(min_size=1, max_size=40),
    generation=st.integers(1, 2**40),
    back_ms=st.integers(0, 10_000),
)
def test_a_refresh_token_gives_its_grant_back(
    signer: TokenSigner, session: str, generation: int, back_ms: int
) -> None:
    one = grant(session_id=session, generation=generation, issued_at=now_ms() - back_ms)

    text = signer.sign(one).refresh_token

    if len(text) <= MAX_REFRESH_TOKEN:
        assert signer.read_refresh(text) == one


@LENIENT
@given(data=st.data())
def test_one_changed_character_makes_it_invalid(
    signer: TokenSigner, data: st.DataObject
) -> None:
    text = signer.sign(grant(issued_at=STARTED)).refresh_token
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters())
    assume(other != text[at])

    with pytest.raises(Unauthenticated) as refused:
        signer.read_refresh(text[:at] + other + text[at + 1 :])

    assert refused.value.reason == "token_invalid"


@LENIENT
@given(text=st.text(max_size=700))
def test_any_text_is_refused_quietly(signer: TokenSigner, text: str) -> None:
    with pytest.raises(Unauthenticated):
        signer.read_refresh(text)


def test_the_body_of_one_token_does_not_fit_the_mac_of_another(
    signer: TokenSigner,
) -> None:
    body = signer.sign(grant(generation=9)).refresh_token.split(".")[0]
    mac = signer.sign(grant(generation=1)).refresh_token.split(".")[1]

    with pytest.raises(Unauthenticated):
        signer.read_refresh(f"{body}.{mac}")


def test_an_access_token_is_no_refresh_token(signer: TokenSigner) -> None:
    with pytest.raises(Unauthenticated):
        signer.read_refresh(signer.sign(grant()).access_token)


def test_a_refresh_token_ends_with_its_session(
    signer: TokenSigner, settings: Settings
) -> None:
    life_ms = settings.tokens.refresh_s * 1000
    old = signer.sign(grant(issued_at=now_ms() - life_ms)).refresh_token
    last = signer.sign(grant(issued_at=now_ms() - life_ms + 60_000)).refresh_token

    with pytest.raises(Unauthenticated) as refused:
        signer.read_refresh(old)

    assert refused.value.reason == "session_revoked"
    assert signer.read_refresh(last).session_id == "se_1"


def test_a_token_of_another_deployment_is_refused(
    signer: TokenSigner, make_settings: Any, tmp_path: Any
) -> None:
    foreign = TokenSigner(make_settings(VAR_DIR=str(tmp_path / "elsewhere")))

    with pytest.raises(Unauthenticated):
        signer.read_refresh(foreign.sign(grant()).refresh_token)


def test_nothing_secret_stands_in_a_refresh_token(
    signer: TokenSigner, settings: Settings
) -> None:
    body = signer.sign(grant()).refresh_token.split(".")[0]
    plain = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))

    assert plain.startswith(b'["se_1","u_1","wx1",3,')
    assert settings.secrets.data_key not in plain


@pytest.mark.parametrize("session_id", ["se_1", "se.with.dots"])
def test_a_token_id_tells_its_generation(session_id: str) -> None:
    assert generation_of(token_id(session_id, 42)) == 42
