"""What a request under an Idempotency-Key is taken for, and which keys are refused."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from web.app import PUBLIC_ROUTES, create_app
from web.errors import PROBLEMS, is_final
from web.ops_app import ADMIN_ROUTES, create_ops_app
from web.routes import Auth

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

    from config.settings import Settings
    from tests.unit.web.conftest import Admin
    from tests.unit.web.seams import House
    from web.routes import Route

ME = "/api/v1/me"
ROUTES = (*PUBLIC_ROUTES, *ADMIN_ROUTES)


class Writer:
    """Changes the profile under a key."""

    def __init__(self, client: FlaskClient, signed_in: dict[str, str]) -> None:
        self._client = client
        self._headers = signed_in

    def patch(self, key: str | None, body: Any = None) -> TestResponse:
        headers = dict(self._headers)
        if key is not None:
            headers["Idempotency-Key"] = key
        return self._client.patch(ME, json=body or {"city": "x"}, headers=headers)


@pytest.fixture
def writer(client: FlaskClient, signed_in: dict[str, str]) -> Writer:
    return Writer(client, signed_in)


@pytest.mark.parametrize(
    "key",
    ["", " ", "a" * 256, "a b", "a\tb", "ключ".encode().decode("latin-1"), "\x7f"],
)
def test_odd_keys_are_refused(writer: Writer, house: House, key: str) -> None:
    answer = writer.patch(key)

    assert answer.status_code == 400
    body = answer.get_json()
    assert body["reason"] == "validation_failed"
    assert [fault["field"] for fault in body["errors"]] == ["Idempotency-Key"]
    assert house.answers.asked == []
    assert house.profiles.fields == {}


@pytest.mark.parametrize(
    "key", ["a", "~" * 255, '8e03978e-40d5-43dd-bc93-6894a57f9324"']
)
def test_visible_keys_are_taken_and_remembered_by_hash(
    writer: Writer, house: House, key: str
) -> None:
    first, again = writer.patch(key), writer.patch(key)

    assert (first.status_code, again.status_code) == (200, 200)
    assert first.get_json()["data"] == again.get_json()["data"]
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    once = house.answers.asked[0]
    assert (once.user_id, once.route) == ("u_one", "PATCH /api/v1/me")
    assert key not in {once.key_hash, once.body_hash}
    assert once.keep_s == 86_400


def test_a_request_without_a_key_is_not_remembered(
    writer: Writer, house: House
) -> None:
    assert writer.patch(None).status_code == 200
    assert house.answers.asked == []


def test_an_invalid_body_is_told_before_its_key_is_used(
    writer: Writer, house: House
) -> None:
    assert writer.patch("k", {"city": 1}).status_code == 400
    assert writer.patch("k", {"city": "Xi'an"}).status_code == 200
    assert len(house.answers.asked) == 1


def test_a_body_is_the_same_in_any_order_and_spelling(
    writer: Writer, house: House, client: FlaskClient, signed_in: dict[str, str]
) -> None:
    texts = ['{"city": "京", "gender": 1}', '{"gender":1,"city":"\\u4eac"}', "{}"]
    for text in texts:
        headers = {**signed_in, "Idempotency-Key": "k"}
        kind = "application/json"
        client.patch(ME, data=text.encode(), content_type=kind, headers=headers)

    first, second, other = (once.body_hash for once in house.answers.asked)
    assert first == second != other


@pytest.mark.parametrize("keys", [[""], ["k" * 256], ["a", "b"], ["k", "k"], ["", ""]])
@pytest.mark.parametrize(
    "route", [route for route in ROUTES if route.writes], ids=lambda route: route.name
)
def test_no_write_takes_an_odd_key(
    settings: Settings, house: House, signed_in: dict[str, str],
    route: Route, keys: list[str],
) -> None:  # fmt: skip
    inside = route.spec.auth is Auth.ADMIN
    make = create_ops_app if inside else create_app
    token = settings.secrets.admin_token.get_secret_value()
    mine = {"Authorization": f"Bearer {token}"} if inside else signed_in
    headers = [*mine.items(), *(("Idempotency-Key", key) for key in keys)]
    path = re.sub(r"<\w+>", "x", route.path)

    client = make(settings, services=house.services).test_client()
    answer = client.open(path, method=route.method, json={}, headers=headers)

    assert answer.status_code == 400
    body = answer.get_json()
    assert [fault["field"] for fault in body["errors"]] == ["Idempotency-Key"]


def test_the_key_of_a_login_is_its_code(client: FlaskClient, house: House) -> None:
    headers = {"Idempotency-Key": "k"}

    for _ in range(2):
        body = {"code": "abc"}
        told = client.post("/api/v1/auth/login", json=body, headers=headers)
        assert told.status_code == 200
        assert "Idempotent-Replayed" not in told.headers
    assert house.answers.asked == []


def test_only_refusals_that_say_how_things_are_are_kept() -> None:
    assert {reason for reason in PROBLEMS if is_final(reason)} == {
        "not_found",
        "conflict",
        "state_forbids",
        "cursor_expired",
        "out_of_stock",
        "watermark_mismatch",
        "signature_mismatch",
    }
    assert not is_final("nobody knows this reason")


ADMIN_WRITES: list[tuple[str, dict[str, Any] | None]] = [
    ("/admin/v1/notifications/nt_1/cancel", None),
    ("/admin/v1/notifications/nt_1/retry", None),
    ("/admin/v1/outbox/ob_1/replay", None),
    ("/admin/v1/outbox/ob_1/discard", {"reason": "old"}),
    ("/admin/v1/outbox/replay", {"lane": "sync"}),
    ("/admin/v1/outbox/discard", {"reason": "old"}),
]
MESSAGE = {
    "app_id": "wxdemo0000000001",
    "user_id": "u_one",
    "template_key": "appointment",
    "data": {"thing1": "Haircut", "time2": "9:30", "thing3": "Friend"},
}


def keyed(key: str) -> dict[str, str]:
    return {"HTTP_IDEMPOTENCY_KEY": key}


@pytest.mark.parametrize(("path", "body"), ADMIN_WRITES)
def test_admin_writes_keep_their_answers_too(
    admin: Admin, house: House, path: str, body: dict[str, Any] | None
) -> None:
    admin("POST", "/admin/v1/notifications", json=MESSAGE)
    sent = {} if body is None else {"json": body}

    told = [admin("POST", path, environ_base=keyed("k"), **sent) for _ in range(2)]

    assert [status for status, _ in told] == [200, 200]
    assert told[0][1]["data"] == told[1][1]["data"]
    assert [once.user_id for once in house.answers.asked] == ["admin", "admin"]
    assert len(house.answers.kept) == 1
    assert admin("POST", path, environ_base=keyed(""), **sent)[0] == 400


def test_a_message_under_a_key_is_accepted_once(admin: Admin, house: House) -> None:
    path = "/admin/v1/notifications"
    told = [admin("POST", path, json=MESSAGE, environ_base=keyed("k")) for _ in "ab"]

    assert [status for status, _ in told] == [200, 200]
    assert len(house.notifications.accepted) == 1
    for odd in ("", "k" * 256):
        status, body = admin("POST", path, json=MESSAGE, environ_base=keyed(odd))
        assert (status, body["reason"]) == (400, "validation_failed")
