"""Nothing about a person passes, and what we need to read does."""

import pytest

from config.redaction import REDACTED, redact, scrub

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1XzEifQ.c2lnbmF0dXJl"
OPENID = "oGZUI0egBJY1zhBYw2KhdUfwVJJE"
SECRETS = {
    "token": JWT,
    "openid": OPENID,
    "phone": "13800138000",
    "session_key": "tiihtNczf5v6AKRyjwEUhQ==",
    "code": "0a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P",
    "app secret": "9f8e7d6c5b4a39281706f5e4d3c2b1a0",
    "hex key": "9f8e7d6c5b4a39281706f5e4d3c2b1a0" * 2,
    "encrypted data": "CiyLU1Aw2KjvrjMdj8YKliAjtP4gsMZMQmRzooG2xrDcvSnxIMXFufNstNGTyaG"
    * 2,
}


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS.keys())
@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "failed for {} today",
        "user={}, next",
        '{{"x": "{}"}}',
        "('{}',)",
        "/a/b?x={}&y=1",
        "Traceback\n  ValueError: {}\n",
    ],
)
def test_secrets_are_found_in_any_text(text, secret):
    assert secret not in scrub(text.format(secret))


@pytest.mark.parametrize(
    "text",
    [
        "GET /sns/jscode2session?appid=wx1&secret=abc&js_code=xyz&grant_type=a",
        "https://api/x?access_token=71_abc",
        "{'session_key': 'abc', 'openid': 'xyz'}",
        '{"refresh_token": "abc", "nickname": "xyz"}',
        "session_key=b'abc xyz'",
        "Authorization: Bearer abc.xyz",
        "redis://:abc@h:1/0 and mysql+pymysql://u:xyz@h/db",
        "[SQL: INSERT] [parameters: ('abc', 'xyz')]",
        "phone_number: abc, code=xyzxyzxyz",
    ],
)
def test_named_values_are_replaced(text):
    found = scrub(text)
    assert "abc" not in found
    assert "xyz" not in found


@pytest.mark.parametrize(
    "text",
    [
        "request done",
        "/api/v1/auth/login",
        "tasks.maintenance.refresh_access_tokens",
        "worker_cancel_long_running_tasks_on_connection_loss",
        "ob_06f1k2m3n4p5q6r7s8t9v0abcd",
        "u_06f1k2m3n4p5q6r7s8t9v0abcd",
        "row ob_06f1k2m3n4p5q6r7s8t9v0abcd is dead",
        "2f1d0c7e-8a43-4b1e-9d55-0a8c6f3e2b11",
        "2026-11-23T17:45:01.123Z",
        "1700000000000",
        'File "/venv/lib/python3.11/site-packages/celery/app/trace.py", line 585',
        "errcode 40029",
        "wxdemo0000000001",
    ],
)
def test_our_own_words_pass(text):
    assert scrub(text) == text


def test_unknown_keys_are_denied_whatever_they_hold():
    event = redact(None, "", {"event": "x", "nickname": "Ming", "age": 3, "on": True})
    assert event == {
        "event": "x",
        "nickname": REDACTED,
        "age": REDACTED,
        "on": REDACTED,
    }


def test_known_keys_pass_with_their_types():
    given = {"event": "done", "status": 200, "ms": 1.5, "ok": True, "cause": None}
    assert redact(None, "", dict(given)) == given


def test_nested_values_follow_the_same_rule():
    event = redact(
        None,
        "",
        {"parts": 1, "part": {"name": OPENID, "phone": "x"}, "stores": [OPENID, 1]},
    )
    assert event["part"] == {"name": REDACTED, "phone": REDACTED}
    assert event["stores"] == [REDACTED, 1]
    assert event["parts"] == REDACTED


def test_a_phone_is_found_as_a_number_too():
    assert redact(None, "", {"count": 13800138000})["count"] == REDACTED


def test_moments_in_milliseconds_pass():
    assert redact(None, "", {"due": 1700000000000})["due"] == 1700000000000
