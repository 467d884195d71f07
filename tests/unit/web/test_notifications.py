"""The message routes of the internal listener over a service in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.web.seams import House
from web.ops_app import create_ops_app

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from config.settings import Settings
    from tests.unit.web.conftest import KeptLines

PATH = "/admin/v1/notifications"
BODY = {
    "app_id": "wxdemo0000000001",
    "user_id": "u_one",
    "template_key": "appointment",
    "data": {"thing1": "Haircut", "time2": "9:30", "thing3": "Friend"},
}


@pytest.fixture
def ops(settings: Settings, house: House, log: KeptLines) -> FlaskClient:
    client = create_ops_app(settings, services=house.services).test_client()
    token = settings.secrets.admin_token.get_secret_value()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    return client


def test_a_message_is_accepted_and_shown(ops: FlaskClient, house: House) -> None:
    whole = {
        **BODY,
        "page": "pages/a/b?id=1",
        "dedupe_key": "order 1 快",
        "send_at": 1_700_000_000_000,
        "channel_policy": "subscribe",
    }
    answer = ops.post(PATH, json=whole)

    assert answer.status_code == 200
    data = answer.get_json()["data"]
    assert set(data) >= set(
        "id state template_key user_id created_at send_at sent_at wechat_msgid "
        "errcode attempts".split()
    )
    (wanted,) = house.notifications.accepted
    assert (wanted.page, wanted.dedupe_key) == (whole["page"], whole["dedupe_key"])
    assert ops.get(f"{PATH}/nt_1").get_json()["data"] == data


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"data": "x"}, "data", "wrong_type"),
        ({"page": "/pages/a"}, "page", "invalid"),
        ({"page": "https://x.example/"}, "page", "invalid"),
        ({"page": "pages/a?x=快"}, "page", "invalid"),
        ({"dedupe_key": ""}, "dedupe_key", "out_of_range"),
        ({"dedupe_key": "k" * 129}, "dedupe_key", "out_of_range"),
        ({"dedupe_key": "k "}, "dedupe_key", "invalid"),
        ({"send_at": "soon"}, "send_at", "wrong_type"),
        ({"send_at": -1}, "send_at", "out_of_range"),
        ({"send_at": True}, "send_at", "wrong_type"),
        ({"channel_policy": "sms"}, "channel_policy", "invalid"),
        ({"openid": "o"}, "openid", "unknown_field"),
    ],
)
def test_bad_shapes_name_their_field(
    ops: FlaskClient, change: dict[str, Any], field: str, reason: str
) -> None:
    answer = ops.post(PATH, json={**BODY, **change})

    assert answer.status_code == 400
    (fault,) = answer.get_json()["errors"]
    assert (fault["field"], fault["reason"]) == (field, reason)


def test_people_act_on_messages(ops: FlaskClient) -> None:
    ops.post(PATH, json=BODY)
    assert ops.post(f"{PATH}/nt_1/cancel").get_json()["data"]["state"] == "cancelled"
    assert ops.post(f"{PATH}/nt_1/retry").get_json()["data"]["state"] == "created"
    assert ops.get(f"{PATH}/nt_2").get_json()["reason"] == "not_found"
    assert ops.post(f"{PATH}/nt_2/cancel").status_code == 404


def test_without_the_token_there_is_nothing(ops: FlaskClient) -> None:
    answer = ops.post(PATH, json=BODY, headers={"Authorization": "Bearer x"})

    assert (answer.status_code, answer.get_json()["reason"]) == (401, "token_invalid")


def test_the_document_shows_the_admin_lock(ops: FlaskClient) -> None:
    document = ops.get("/openapi.json").get_json()
    post = document["paths"][PATH]["post"]

    assert post["security"] == [{"admin": []}]
    assert "overloaded" in post["responses"]["503"]["description"]
