"""What repeats of a code are answered from: a session, or the same error again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import (
    Forbidden,
    InvalidInput,
    KuaidaError,
    Limited,
    LoginCodeInvalid,
    Unavailable,
    Upstream,
)
from web.services.login_record import (
    LoginRecord,
    decode_record,
    encode_record,
    failure_record,
    is_record,
    raise_failure,
)
from web.services.tokens import Grant

RECORDS = st.builds(
    LoginRecord,
    session_id=st.text(max_size=40),
    user_id=st.text(max_size=40),
    app_id=st.text(max_size=20),
    at=st.integers(0, 2**53),
)


@given(record=RECORDS, profile=st.sampled_from([b"", b'{"id":"u_1"}', b'{"n":"\\n"}']))
def test_a_record_survives_with_and_without_a_profile(
    record: LoginRecord, profile: bytes
) -> None:
    raw = encode_record(record) + (b"\n" + profile if profile else b"")

    assert is_record(raw)
    assert decode_record(raw) == (record, profile)


@pytest.mark.parametrize("raw", [None, b"", b"f:0123456789abcdef"])
def test_a_flight_mark_is_no_record(raw: bytes | None) -> None:
    assert not is_record(raw)


@pytest.mark.parametrize(
    "error",
    [
        LoginCodeInvalid("detail"),
        Forbidden(reason="high_risk_user"),
        Limited(retry_after_ms=1234),
        Limited(reason="locked_out", retry_after_ms=9),
        Upstream(reason="wechat_timeout"),
        Upstream(reason="wechat_unavailable", retry_after_ms=7),
        Unavailable(reason="overloaded", retry_after_ms=None),
    ],
    ids=lambda error: error.reason,
)
def test_those_who_joined_meet_the_error_of_the_leader(error: KuaidaError) -> None:
    kept, _ = decode_record(encode_record(failure_record(error)))

    with pytest.raises(type(error)) as met:
        raise_failure(kept)

    assert type(met.value) is type(error)
    assert met.value.reason == error.reason
    assert met.value.retry_after_ms == error.retry_after_ms
    assert "detail" not in encode_record(kept).decode()


def test_a_success_raises_nothing() -> None:
    raise_failure(LoginRecord("se_1", "u_1", "wx1", 5))


def test_the_grant_of_a_record_is_the_first_generation() -> None:
    made = LoginRecord("se_1", "u_1", "wx1", 5, epoch=3).grant("secret")

    assert made == Grant("se_1", "u_1", "wx1", 1, 5, 3, 5, "secret")


def test_a_session_refreshed_since_has_its_present_grant() -> None:
    record = LoginRecord("se_1", "u_1", "wx1", 5, generation=4, rotated_at=70)

    assert record.grant("secret") == Grant("se_1", "u_1", "wx1", 4, 70, 0, 5, "secret")


def test_an_error_no_flight_ends_with_is_never_kept() -> None:
    # Its class is not on the list, so nobody would be told; login must not keep it.
    kept: Any = failure_record(InvalidInput())

    assert raise_failure(kept) is None  # type: ignore[func-returns-value]
