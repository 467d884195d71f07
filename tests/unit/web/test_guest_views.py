"""Guests over HTTP: entering, and a login that brings a guest's token along."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from config.clock import now_ms
from tests.unit.web.seams import GRANT, grant_at

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from tests.unit.web.conftest import KeptLines
    from tests.unit.web.seams import House

GUEST, LOGIN = "/api/v1/auth/guest", "/api/v1/auth/login"


@pytest.mark.parametrize(
    ("body", "entered"),
    [
        (None, (None, "")),
        ({}, (None, "")),
        ({"app_id": "wx1", "device": {"id": "d1", "model": "M"}}, ("wx1", "d1")),
    ],
)
def test_anybody_may_begin_as_a_guest(
    client: FlaskClient, house: House, body: Any, entered: tuple[str | None, str]
) -> None:
    answer = client.post(GUEST, json=body) if body is not None else client.post(GUEST)

    assert answer.status_code == 200
    told = answer.get_json()["data"]
    assert {"access_token", "refresh_token", "user", "enrichment", "is_new"} <= set(
        told
    )
    ((app_id, device),) = house.guests.entered
    assert (app_id, device.id if device else "") == entered


@pytest.mark.parametrize(
    "body", [{"code": "x"}, {"device": {}}, {"device": {"id": "a b"}}, {"app_id": ""}]
)
def test_odd_bodies_are_refused(client: FlaskClient, house: House, body: Any) -> None:
    assert client.post(GUEST, json=body).status_code == 400
    assert house.guests.entered == []


def test_a_guests_token_reaches_the_login_verified(
    client: FlaskClient, house: House
) -> None:
    token = house.sessions.tokens().access_token
    answer = client.post(LOGIN, json={"code": "c", "guest_token": token})

    assert answer.status_code == 200
    ((request, _),) = house.sessions.logins
    assert request.guest is not None
    assert (request.guest.user_id, request.guest.session_id) == (
        GRANT.user_id,
        GRANT.session_id,
    )


def test_a_token_that_is_refused_never_reaches_the_login(
    client: FlaskClient, house: House, log: KeptLines
) -> None:
    fresh = house.sessions.tokens()
    old = grant_at(now_ms() - 2_000_000)
    expired = house.sessions.signer.sign(old).access_token
    cases = [
        (expired, "token_expired"),
        (fresh.refresh_token, "token_invalid"),
        (f"Bearer {fresh.access_token}", "validation_failed"),
        (fresh.access_token[:-2] + "AA", "token_invalid"),
        ("x" * 2048, "token_invalid"),
    ]
    for token, reason in cases:
        answer = client.post(LOGIN, json={"code": "c", "guest_token": token})
        assert answer.get_json()["reason"] == reason
        assert token not in answer.text + log.text()

    assert house.sessions.logins == []
