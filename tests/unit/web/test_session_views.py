"""The caller's sessions over HTTP: pages, the end of one, odd requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from tests.unit.web.seams import House

SESSIONS = "/api/v1/sessions"


def test_a_page_has_the_shape_of_every_list(
    client: FlaskClient, house: House, signed_in: dict[str, str]
) -> None:
    told = client.get(f"{SESSIONS}?limit=1&cursor=5.se_x", headers=signed_in).get_json()

    assert house.my_sessions.asked == [("5.se_x", 1)]
    assert told["data"] == {
        "items": [
            {
                "id": "se_one",
                "device": {
                    "id": "phone",
                    "model": "M",
                    "platform": None,
                    "system": None,
                    "wechat_version": None,
                },
                "ip_city": None,
                "created_at": 1,
                "last_seen_at": 2,
                "current": True,
            }
        ],
        "next_cursor": "1.se_one",
        "has_more": True,
    }


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "cursor=x", "other=1"])
def test_odd_queries_are_refused(
    client: FlaskClient, signed_in: dict[str, str], query: str
) -> None:
    assert client.get(f"{SESSIONS}?{query}", headers=signed_in).status_code == 400


def test_one_session_is_ended_and_no_other(
    client: FlaskClient, house: House, signed_in: dict[str, str]
) -> None:
    keyed = {**signed_in, "Idempotency-Key": "k"}
    ended = client.delete(f"{SESSIONS}/se_one", headers=keyed)
    again = client.delete(f"{SESSIONS}/se_one", headers=keyed)
    other = client.delete(f"{SESSIONS}/se_two", headers=signed_in)

    assert ended.get_json()["data"] == again.get_json()["data"] == {"revoked": 1}
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (other.status_code, other.get_json()["reason"]) == (404, "not_found")
    assert house.my_sessions.asked == [("se_one",), ("se_two",)]
