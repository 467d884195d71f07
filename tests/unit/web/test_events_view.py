"""The events route over seams in memory: what is asked, what is sent, what is noted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from models.errors import Limited, Unavailable
from web.answers import NDJSON, wants_lines
from web.server.environ import LINE_KEY
from web.services.listeners import QUIET_LINE

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from tests.unit.web.conftest import KeptLines
    from tests.unit.web.seams import House

PATH = "/api/v1/events"


def test_a_poll_gets_events_and_the_cursor(
    client: FlaskClient, house: House, signed_in: dict[str, str]
) -> None:
    answer = client.get(f"{PATH}?cursor=4&wait_ms=25000&limit=7", headers=signed_in)

    assert answer.status_code == 200
    assert answer.get_json()["data"] == {
        "events": [
            {"id": "5", "type": "profile.updated", "at": 1000, "data": {"city": "深圳"}}
        ],
        "cursor": "5",
    }
    ((wish, wait_ms),) = house.events.asked
    assert (wish.cursor, wish.limit, wait_ms) == (4, 7, 25_000)
    assert wish.claims.user_id == "u_one"
    assert house.admission.asked[0][0] == "read"


def test_a_wait_ends_with_the_time_a_client_named(
    client: FlaskClient, house: House, signed_in: dict[str, str]
) -> None:
    client.get(f"{PATH}?wait_ms=4000", headers=signed_in)
    client.get(f"{PATH}?wait_ms=4000", headers={**signed_in, "X-Timeout-Ms": "100"})

    default, named = house.events.patience
    assert default is None
    assert named is not None
    assert named.remaining_s() < 0.1


def test_without_a_cursor_it_is_asked_from_now_on(
    client: FlaskClient, house: House, signed_in: dict[str, str]
) -> None:
    client.get(PATH, headers=signed_in)

    ((wish, wait_ms),) = house.events.asked
    assert (wish.cursor, wait_ms) == (None, 0)


@pytest.mark.parametrize(
    "query",
    [
        "cursor=", "cursor=-1", "cursor=x", "cursor=01", "cursor=1.0", "cursor=null",
        "cursor=9999999999999999999", "cursor=%31%0a", "wait_ms=-1", "wait_ms=25001",
        "wait_ms=x", "limit=0", "limit=101", "since=1", "cursor=1&cursor=2",
    ],
)  # fmt: skip
@pytest.mark.parametrize("accept", ["*/*", NDJSON])
def test_odd_questions_are_refused_by_name(
    client: FlaskClient,
    house: House,
    signed_in: dict[str, str],
    query: str,
    accept: str,
) -> None:
    answer = client.get(f"{PATH}?{query}", headers={**signed_in, "Accept": accept})

    assert answer.status_code == 400
    body = answer.get_json()
    assert body["reason"] in {"validation_failed", "unknown_field"}
    assert body["errors"][0]["field"] == query.partition("=")[0]
    assert house.events.asked == []


def test_a_stream_is_lines_of_unknown_length(
    client: FlaskClient, house: House, signed_in: dict[str, str], log: KeptLines
) -> None:
    headers = {**signed_in, "Accept": NDJSON, "X-Request-Id": "rq-stream"}
    answer = client.get(f"{PATH}?cursor=4", headers=headers, buffered=False)

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == NDJSON
    assert "Content-Length" not in answer.headers
    assert answer.headers["X-Event-Cursor"] == "4"
    assert answer.headers["X-Request-Id"] == "rq-stream"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "RateLimit-Remaining" in answer.headers
    # Noted at the end: only then is it known how long it was.
    assert "rq-stream" not in log.text()
    first, second = answer.get_data().splitlines()
    assert json.loads(first)["id"] == "5"
    assert json.loads(second) == {"type": "heartbeat"}
    answer.close()

    (noted,) = [json.loads(x) for x in log.lines if b"rq-stream" in x]
    assert (noted["route"], noted["status"], noted["user_id"]) == (PATH, 200, "u_one")
    assert house.events.feeds[0].closed == 1


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (Unavailable(reason="overloaded", retry_after_ms=5000), (503, "overloaded")),
        (Limited(retry_after_ms=5000), (429, "rate_limited")),
    ],
)
@pytest.mark.parametrize("accept", ["application/json", NDJSON])
def test_a_refusal_is_the_envelope_whatever_was_wanted(
    *,
    client: FlaskClient,
    house: House,
    signed_in: dict[str, str],
    accept: str,
    error: Exception,
    told: tuple[int, str],
) -> None:
    house.events.error = error
    answer = client.get(PATH, headers={**signed_in, "Accept": accept})

    assert (answer.status_code, answer.get_json()["reason"]) == told
    assert answer.get_json()["action"] == "wait"
    assert answer.headers["Retry-After"] == "5"


def test_the_channel_knows_the_connection_if_the_server_tells(
    client: FlaskClient, house: House, signed_in: dict[str, str]
) -> None:
    client.get(PATH, headers=signed_in)
    line = object()
    client.get(PATH, headers=signed_in, environ_base={LINE_KEY: line})

    assert [wish.line for wish, _ in house.events.asked] == [QUIET_LINE, line]


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", False),
        ("*/*", False),
        ("application/*", False),
        ("application/json", False),
        ("application/x-ndjson", True),
        ("Application/X-NDJSON", True),
        ("application/x-ndjson, application/json;q=0.5", True),
        ("application/x-ndjson;q=0.5, application/json", False),
        ("application/x-ndjson;q=0", False),
        ("text/html, application/x-ndjson;charset=utf-8", True),
        ("application/x-ndjson-other", False),
    ],
)
def test_only_who_names_the_format_gets_a_stream(accept: str, *, wanted: bool) -> None:
    assert wants_lines(accept) is wanted
