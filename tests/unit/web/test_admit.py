"""What the door does with an admission: quotas, actions of the rules, misses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from models.errors import Limited
from models.quota import Quota
from models.stores.admission import Admission
from web.services import misses
from web.services.misses import Misses

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from models.standings import Action
    from tests.unit.web.seams import House

ME = "/api/v1/me"
OPERATION = "/api/v1/operations/op_9"


def told(client: FlaskClient, method: str, path: str, headers: dict[str, str]) -> str:
    """Return the reason of an answer, empty for success."""
    body = {"city": "x"} if method == "PATCH" else None
    answer = client.open(path, method=method, headers=headers, json=body)
    reason: str = answer.get_json().get("reason", "")
    return reason


@pytest.mark.parametrize(
    ("action", "reasons"),
    [
        ("allow", ("", "")),
        ("slow", ("", "")),
        ("verify", ("", "verification_required")),
        ("block", ("high_risk_user", "high_risk_user")),
    ],
)
def test_each_action_is_obeyed(
    client: FlaskClient,
    house: House,
    signed_in: dict[str, str],
    action: Action,
    reasons: tuple[str, str],
) -> None:
    house.admission.admission = Admission("live", action)

    read, write = (told(client, method, ME, signed_in) for method in ("GET", "PATCH"))

    assert (read, write) == reasons


def test_who_must_verify_is_told_how(
    client: FlaskClient, house: House, signed_in: dict[str, str]
) -> None:
    house.admission.admission = Admission("live", "verify")

    answer = client.patch(ME, headers=signed_in, json={"city": "x"})

    assert (answer.status_code, answer.get_json()["code"]) == (403, 40304)
    assert answer.get_json()["action"] == "bind_phone"


def test_who_must_verify_may_still_leave(
    client: FlaskClient, house: House, signed_in: dict[str, str]
) -> None:
    house.admission.admission = Admission("live", "verify")

    answer = client.post("/api/v1/auth/logout", headers=signed_in, json={})

    assert answer.status_code == 200


def test_sql_tells_the_action_that_redis_does_not_know(
    client: FlaskClient, house: House, signed_in: dict[str, str]
) -> None:
    house.admission.admission = Admission("unknown")
    house.sessions.action = "block"

    assert told(client, "GET", ME, signed_in) == "high_risk_user"


def test_a_refusal_tells_its_quota(
    client: FlaskClient, house: House, signed_in: dict[str, str]
) -> None:
    house.admission.error = Limited(retry_after_ms=1500, quota=Quota(5, 0, 30))

    headers = client.get(ME, headers=signed_in).headers

    assert headers["RateLimit-Limit"] == "5"
    assert headers["RateLimit-Remaining"] == "0"
    assert headers["RateLimit-Reset"] == "30"
    assert headers["Retry-After"] == "2"


def test_a_lock_out_has_a_wait_and_no_quota(
    client: FlaskClient, house: House, signed_in: dict[str, str]
) -> None:
    house.admission.error = Limited(reason="locked_out", retry_after_ms=300_000)

    answer = client.get(ME, headers=signed_in)

    assert (answer.status_code, answer.get_json()["code"]) == (429, 42902)
    assert answer.get_json()["retry_after_ms"] == 300_000
    assert "RateLimit-Limit" not in answer.headers


def test_guesses_travel_with_the_next_request(
    client: FlaskClient, house: House, signed_in: dict[str, str]
) -> None:
    for _ in range(3):
        assert told(client, "GET", OPERATION, signed_in) == "not_found"
    client.get(ME, headers=signed_in)
    client.get(ME, headers=signed_in)

    steps = house.admission.steps
    assert [step.misses for step in steps] == [0, 1, 1, 1, 0]
    assert steps[0].route == "/api/v1/operations/<operation_id>"


def test_routes_that_let_wait_have_no_rhythm(
    client: FlaskClient, house: House, signed_in: dict[str, str]
) -> None:
    for path in (OPERATION, "/api/v1/events", ME):
        client.get(path, headers=signed_in)

    assert [step.rhythm for step in house.admission.steps] == [False, False, True]


def test_misses_are_bounded_and_forget_the_longest_untouched() -> None:
    counts = Misses()
    for number in range(misses.MOST_USERS + 5):
        counts.note(f"u_{number}")
    counts.note("")

    assert len(counts._counts) == misses.MOST_USERS
    assert counts.take("u_0") == 0
    assert counts.take(f"u_{misses.MOST_USERS}") == 1
    assert counts.take(f"u_{misses.MOST_USERS}") == 0
