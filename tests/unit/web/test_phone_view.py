"""POST /me/phone and the key reset over seams in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from models.errors import Conflict, Limited, LoginCodeInvalid
from wechat.open_data import SealedData

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from tests.unit.web.conftest import Admin
    from tests.unit.web.seams import House

PHONE = "/api/v1/me/phone"
RESET = "/admin/v1/users/u_one/reset-session-key"


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        ({"code": "c1"}, "c1"),
        ({"encrypted_data": "d", "iv": "i"}, SealedData("d", "i")),
        ({"encrypted_data": "", "iv": ""}, SealedData("", "")),
    ],
    ids=str,
)
def test_either_form_binds(
    client: FlaskClient,
    house: House,
    signed_in: dict[str, str],
    body: dict[str, str],
    asked: object,
) -> None:
    answer = client.post(PHONE, json=body, headers=signed_in)

    assert answer.get_json()["data"] == {"phone_masked": "138****8000"}
    assert house.phones.asked == [asked]


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        ({}, [("code", "missing")]),
        ({"iv": "i"}, [("encrypted_data", "missing")]),
        ({"code": "c", "iv": "i"}, [("iv", "invalid")]),
        (
            {"code": "c", "iv": "i", "encrypted_data": "d"},
            [("code", "invalid")],
        ),
        ({"code": None}, [("code", "wrong_type")]),
        ({"code": "c d"}, [("code", "invalid")]),
    ],
    ids=str,
)
def test_no_form_and_both_forms_are_refused(
    client: FlaskClient,
    house: House,
    signed_in: dict[str, str],
    body: dict[str, Any],
    faults: list[tuple[str, str]],
) -> None:
    answer = client.post(PHONE, json=body, headers=signed_in)

    told = answer.get_json()
    assert (answer.status_code, told["reason"]) == (400, "validation_failed")
    assert [(item["field"], item["reason"]) for item in told["errors"]] == faults
    assert house.phones.asked == []


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (LoginCodeInvalid(), (400, "relogin")),
        (Conflict(), (409, "none")),
        (Conflict(reason="session_key_stale"), (409, "relogin")),
        (Limited(retry_after_ms=5000), (429, "wait")),
    ],
    ids=str,
)
def test_refusals_say_what_to_do(
    client: FlaskClient,
    house: House,
    signed_in: dict[str, str],
    error: Exception,
    told: tuple[int, str],
) -> None:
    house.phones.error = error

    answer = client.post(PHONE, json={"code": "c1"}, headers=signed_in)

    assert (answer.status_code, answer.get_json()["action"]) == told


def test_support_resets_a_key(admin: Admin) -> None:
    status, body = admin("POST", RESET)

    assert (status, body["data"]) == (200, {"user_id": "u_one", "outcome": "reset"})
    assert admin("POST", RESET.replace("u_one", "u_two"))[0] == 404
