"""What the door does with an admission: quotas, actions of the rules, misses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from models.errors import Forbidden, Limited, RedisUnavailable, Unauthenticated
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


# What is refused behind the limits


@pytest.mark.parametrize(
    ("admission", "reason"),
    [
        (Admission("banned"), "user_banned"),
        (Admission("revoked"), "session_revoked"),
        (Admission("live", "block"), "high_risk_user"),
        (Admission("live", "verify"), "verification_required"),
    ],
)
def test_who_is_refused_is_kept_under_the_requests_id(
    client: FlaskClient,
    house: House,
    signed_in: dict[str, str],
    admission: Admission,
    reason: str,
) -> None:
    house.admission.admission = admission

    told(client, "PATCH", ME, signed_in | {"X-Request-Id": "req-7"})

    assert house.refusals.kept == [("req-7", "u_one", ME, reason)]


def test_a_refused_login_is_kept_with_the_user_it_found(
    client: FlaskClient, house: House
) -> None:
    house.sessions.error = Forbidden(reason="user_banned", user_id="u_9")
    client.post("/api/v1/auth/login", json={"code": "c"}, headers={"X-Request-Id": "r"})

    assert house.refusals.kept == [("r", "u_9", "/api/v1/auth/login", "user_banned")]


def test_what_says_nothing_of_a_person_is_not_kept(
    client: FlaskClient, house: House, signed_in: dict[str, str]
) -> None:
    told(client, "GET", ME, {"Authorization": "Bearer a.b.c"})
    # The script has kept this one by itself.
    house.admission.error = Limited(retry_after_ms=1500)
    told(client, "GET", ME, signed_in)
    house.admission.error = Unauthenticated(reason="token_invalid")
    told(client, "GET", ME, signed_in)

    assert house.refusals.kept == []


def test_a_refusal_that_cannot_be_kept_is_still_the_answer(
    client: FlaskClient, house: House, signed_in: dict[str, str]
) -> None:
    house.admission.admission = Admission("banned")
    house.refusals.error = RedisUnavailable()

    assert told(client, "GET", ME, signed_in) == "user_banned"


def test_limits_are_told_the_requests_id(
    client: FlaskClient, house: House, signed_in: dict[str, str]
) -> None:
    told(client, "GET", ME, signed_in | {"X-Request-Id": "req-8"})

    assert [caller.request_id for _, caller, _ in house.admission.asked] == ["req-8"]
