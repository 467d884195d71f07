"""Writes that declare no body: what they still take, and what they refuse."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest

from web.app import PUBLIC_ROUTES
from web.ops_app import ADMIN_ROUTES

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from tests.unit.web.conftest import Admin
    from tests.unit.web.seams import House

CANCEL = "/api/v1/operations/op_1/cancel"
SESSION = "/api/v1/sessions/se_one"
GUEST = "/api/v1/auth/guest"
JSON = "application/json"
# Their bodies, and that of a discard, have only fields that may be left out.
ACTS = {f"/admin/v1/users/u_one/{act}" for act in ("ban", "unban", "logout")}
ADMIN_PATHS = ACTS | {
    "/admin/v1/notifications/nt_1/cancel",
    "/admin/v1/notifications/nt_1/retry",
    "/admin/v1/outbox/ob_1/discard",
    "/admin/v1/outbox/ob_1/replay",
    "/admin/v1/users/u_one/reset-session-key",
}
REFUSED: list[tuple[bytes, str, int, str]] = [
    (b'{"force": true}', JSON, 400, "unknown_field"),
    (b"{", JSON, 400, "invalid_json"),
    (b"[]", JSON, 400, "invalid_json"),
    (b"null", JSON, 400, "invalid_json"),
    (b"a=b", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
    (b"{}", "", 415, "unsupported_media_type"),
    (b" " * 100_000, JSON, 413, "body_too_large"),
]


def without_body() -> set[str]:
    """Return every write that needs no body, ids filled in."""
    ids = {"operation_id": "op_1", "notification_id": "nt_1", "row_id": "ob_1"}
    ids["user_id"] = "u_one"
    ids |= {"session_id": "se_one", "name": "u_one"}
    return {
        route.path.replace("<", "{").replace(">", "}").format(**ids)
        for route in (*PUBLIC_ROUTES, *ADMIN_ROUTES)
        if route.method != "GET" and not route.needs_body
    }


def test_these_are_all_routes_that_need_no_body() -> None:
    assert without_body() == ADMIN_PATHS | {CANCEL, SESSION, GUEST}


@pytest.mark.parametrize("path", sorted(ADMIN_PATHS))
@pytest.mark.parametrize("refused", REFUSED)
def test_admin_routes_refuse_bodies_that_say_something(
    admin: Admin, path: str, refused: tuple[bytes, str, int, str]
) -> None:
    body, kind, *told = refused

    status, answer = admin("POST", path, data=body, content_type=kind)

    assert [status, answer["reason"]] == told


@pytest.mark.parametrize("refused", REFUSED)
def test_so_does_a_route_whose_body_may_be_left_out(
    client: FlaskClient,
    house: House,
    signed_in: dict[str, str],
    refused: tuple[bytes, str, int, str],
) -> None:
    body, kind, *told = refused

    answer = client.post(CANCEL, data=body, content_type=kind, headers=signed_in)

    assert [answer.status_code, answer.get_json()["reason"]] == told
    assert house.operations.asked == []


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"data": b"", "content_type": "text/plain"},
        {"data": b"{}", "content_type": JSON},
        {"input_stream": io.BytesIO(b""), "headers": {"Transfer-Encoding": "chunked"}},
    ],
)
def test_absent_and_empty_bodies_pass(
    admin: Admin, client: FlaskClient, signed_in: dict[str, str], sent: dict[str, Any]
) -> None:
    headers = signed_in | sent.get("headers", {})
    answer = client.post(CANCEL, **(sent | {"headers": headers}))
    assert answer.status_code == 200
    if "headers" not in sent:
        assert admin("POST", "/admin/v1/outbox/ob_1/replay", **sent)[0] == 200


@pytest.mark.parametrize("wait_ms", [0, 100, 5000])
def test_cancel_takes_a_wait_in_both_places(
    client: FlaskClient, signed_in: dict[str, str], wait_ms: int
) -> None:
    in_query = client.post(f"{CANCEL}?wait_ms={wait_ms}", headers=signed_in)
    in_body = client.post(CANCEL, json={"wait_ms": wait_ms}, headers=signed_in)

    for answer in (in_query, in_body):
        assert answer.get_json()["data"]["operation"]["state"] == "cancelled"


def test_a_whole_number_in_a_body_may_have_a_point(
    client: FlaskClient, signed_in: dict[str, str]
) -> None:
    for text, status in (("22.0", 200), ("5e3", 200), ("22.5", 400), ("6e3", 400)):
        body = '{"wait_ms": ' + text + "}"
        told = client.post(CANCEL, data=body, content_type=JSON, headers=signed_in)
        assert told.status_code == status, text


@pytest.mark.parametrize("wait_ms", [-1, 5001, "x", 22.5])
def test_cancel_refuses_an_odd_wait_in_both_places(
    client: FlaskClient, signed_in: dict[str, str], wait_ms: object
) -> None:
    in_query = client.post(f"{CANCEL}?wait_ms={wait_ms}", headers=signed_in)
    in_body = client.post(CANCEL, json={"wait_ms": wait_ms}, headers=signed_in)

    for answer in (in_query, in_body):
        assert answer.status_code == 400
        assert [fault["field"] for fault in answer.get_json()["errors"]] == ["wait_ms"]
