"""POST /me/decrypt over seams in memory: forms of the body, answers, refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from models.errors import Conflict, OpenDataRefused
from web.app import PUBLIC_ROUTES
from web.openapi.document import build_document

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from tests.unit.web.seams import House

DECRYPT = "/api/v1/me/decrypt"
BODY = {"encrypted_data": "Zm9v YmFy", "iv": "aXY="}


def test_what_was_inside_is_the_answer(
    client: FlaskClient, house: House, signed_in: dict[str, str]
) -> None:
    signed = {**BODY, "raw_data": "{ }", "signature": "s"}
    answer = client.post(DECRYPT, json=signed, headers=signed_in)

    assert answer.get_json()["data"]["nickName"] == "Band"
    ((sealed, told),) = house.open_data.asked
    assert (sealed.encrypted_data, sealed.iv) == ("Zm9v YmFy", "aXY=")
    assert told is not None
    assert tuple(told) == ("{ }", "s")


def test_nothing_signed_is_nothing_to_compare(
    client: FlaskClient, house: House, signed_in: dict[str, str]
) -> None:
    assert client.post(DECRYPT, json=BODY, headers=signed_in).status_code == 200
    assert house.open_data.asked[0][1] is None


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"iv": None}, ("iv", "wrong_type")),
        ({"raw_data": "{}"}, ("signature", "missing")),
        ({"signature": "s"}, ("raw_data", "missing")),
        ({"raw_data": None}, ("raw_data", "wrong_type")),
        ({"iv": "x" * 1025}, ("iv", "out_of_range")),
        ({"openid": "o"}, ("openid", "unknown_field")),
    ],
    ids=str,
)
def test_other_forms_of_the_body_are_refused(
    client: FlaskClient,
    house: House,
    signed_in: dict[str, str],
    changed: dict[str, Any],
    fault: tuple[str, str],
) -> None:
    answer = client.post(DECRYPT, json={**BODY, **changed}, headers=signed_in)

    told = [(item["field"], item["reason"]) for item in answer.get_json()["errors"]]
    assert answer.status_code == 400
    assert told == [fault]
    assert house.open_data.asked == []


@pytest.mark.parametrize("body", [{}, {"iv": "a"}, {"encrypted_data": ""}])
def test_both_parts_are_needed(
    client: FlaskClient, signed_in: dict[str, str], body: dict[str, str]
) -> None:
    answer = client.post(DECRYPT, json=body, headers=signed_in).get_json()

    assert answer["reason"] == "validation_failed"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OpenDataRefused(), (422, "none")),
        (OpenDataRefused(reason="watermark_mismatch"), (422, "none")),
        (OpenDataRefused(reason="signature_mismatch"), (422, "none")),
        (Conflict(reason="session_key_stale"), (409, "relogin")),
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
    house.open_data.error = error

    answer = client.post(DECRYPT, json=BODY, headers=signed_in)

    assert (answer.status_code, answer.get_json()["action"]) == told


def test_the_document_names_the_forms() -> None:
    document = build_document(PUBLIC_ROUTES, title="Kuaida", version="1")
    body = document["paths"][DECRYPT]["post"]["requestBody"]["content"]
    plain, signed = body["application/json"]["schema"]["oneOf"]

    assert plain["required"] == ["encrypted_data", "iv"]
    assert plain["properties"] == {"raw_data": False, "signature": False}
    assert set(signed["required"]) == {"encrypted_data", "iv", "raw_data", "signature"}
