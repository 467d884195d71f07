"""Operations over HTTP: shapes, waits within the deadline, files without envelope."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from models.errors import Conflict, Unavailable
from tests.unit.web.seams import House

if TYPE_CHECKING:
    from flask.testing import FlaskClient

PATH = "/api/v1/operations"
EXPORT = "/api/v1/me/export"


def test_an_operation_stands_under_its_name(
    client: FlaskClient, signed_in: dict[str, str]
) -> None:
    told = client.get(f"{PATH}/op_1", headers=signed_in).get_json()

    assert (told["code"], told["msg"]) == (0, "ok")
    assert told["data"] == {
        "operation": {
            "id": "op_1",
            "kind": "export",
            "state": "running",
            "percent": 7,
            "eta_ms": 900,
            "result": None,
            "error": None,
            "created_at": 1,
            "updated_at": 2,
        }
    }


def test_what_is_not_the_callers_is_not_found(
    client: FlaskClient, signed_in: dict[str, str]
) -> None:
    asked = [
        client.get(f"{PATH}/op_2", headers=signed_in),
        client.get(f"{PATH}/op_2/file", headers=signed_in),
        client.post(f"{PATH}/op_2/cancel", headers=signed_in),
    ]

    assert [answer.status_code for answer in asked] == [404] * 3
    assert {answer.get_json()["reason"] for answer in asked} == {"not_found"}


def test_the_wait_and_the_deadline_reach_the_service(
    client: FlaskClient, signed_in: dict[str, str], house: House
) -> None:
    headers = signed_in | {"X-Timeout-Ms": "300"}
    client.get(f"{PATH}/op_1?wait_ms=5000", headers=headers)
    client.get(f"{EXPORT}?wait_ms=40", headers=signed_in)

    (first, second) = house.operations.asked
    assert first[:2] == ("op_1", 5000)
    assert second[:2] == ("op_1", 40)
    assert second[2].at - first[2].at > 4  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", [f"{PATH}/op_1", EXPORT])
@pytest.mark.parametrize("query", ["wait_ms=-1", "wait_ms=5001", "wait_ms=x", "w=1"])
def test_an_odd_wait_is_refused(
    client: FlaskClient, signed_in: dict[str, str], path: str, query: str
) -> None:
    answer = client.get(f"{path}?{query}", headers=signed_in)

    assert answer.status_code == 400
    assert answer.get_json()["errors"]


def test_what_is_over_cannot_be_cancelled(
    client: FlaskClient, signed_in: dict[str, str], house: House
) -> None:
    house.operations.error = Conflict(reason="state_forbids")

    answer = client.post(f"{PATH}/op_1/cancel", headers=signed_in)

    assert answer.status_code == 409
    assert answer.get_json()["reason"] == "state_forbids"


def test_too_much_work_is_told_with_a_wait(
    client: FlaskClient, signed_in: dict[str, str], house: House
) -> None:
    house.operations.error = Unavailable(reason="overloaded", retry_after_ms=10_000)

    answer = client.get(EXPORT, headers=signed_in)

    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "10"
    assert answer.get_json()["action"] == "wait"


def test_a_file_comes_bare_with_its_name_and_length(
    client: FlaskClient, signed_in: dict[str, str]
) -> None:
    answer = client.get(f"{PATH}/op_1/file", headers=signed_in)

    assert answer.data == b'{"format":1}'
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Content-Length"] == "12"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="a.json"'
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Request-Id"]


def test_the_head_of_a_file_has_no_body(
    client: FlaskClient, signed_in: dict[str, str]
) -> None:
    answer = client.head(f"{PATH}/op_1/file", headers=signed_in)

    assert answer.data == b""
    assert answer.headers["Content-Length"] == "12"
