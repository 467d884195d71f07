"""One call: untrusted answers, errcodes in odd forms, the breaker and the measuring."""

from __future__ import annotations

import pytest

from tests.unit.wechat.doubles import (
    ScriptedTransport,
    Unobserved,
    make_caller,
    says,
    soon,
)
from wechat.errors import (
    BreakerOpen,
    CodeInvalid,
    PoolExhausted,
    WeChatError,
    WeChatLied,
    WeChatRefused,
    WeChatTimeout,
)
from wechat.transport import Answer


class Notes(Unobserved):
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.outcomes: list[str] = []

    def called(self, _path: str, outcome: str, seconds: float) -> None:
        assert seconds >= 0
        self.outcomes.append(outcome)


def call(answer: Answer):
    """Make one call that is answered so."""
    caller = make_caller(ScriptedTransport([answer]))
    return caller.get("/p", {}, deadline=soon())


@pytest.mark.parametrize("errcode", [0, "0", None])
def test_errcode_zero_in_any_form_is_a_success(errcode) -> None:
    assert call(says(errcode=errcode, x=1))["x"] == 1


def test_a_missing_errcode_is_a_success() -> None:
    assert call(says(x=1)) == {"x": 1}


def test_an_errcode_as_text_is_read_as_a_number() -> None:
    with pytest.raises(CodeInvalid) as caught:
        call(says(errcode="40163", errmsg="used"))

    assert caught.value.errcode == 40163


@pytest.mark.parametrize("errcode", ["", "abc", "4e4", 1.5, True, [1], {"a": 1}])
def test_an_errcode_that_is_no_number_is_a_lie_or_nothing(errcode) -> None:
    if errcode == "":
        assert call(says(errcode=errcode, x=1))["x"] == 1
        return
    with pytest.raises(WeChatLied):
        call(says(errcode=errcode))


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b'{"a":', b"[]", b'"x"', b"null", b"\xff\xfe", b"<html></html>"],
)
def test_a_body_that_is_no_json_object_is_a_lie(body) -> None:
    with pytest.raises(WeChatLied):
        call(Answer(200, body))


@pytest.mark.parametrize("status", [204, 301, 302, 404, 500, 502])
def test_another_status_than_200_is_a_lie_even_with_good_json(status) -> None:
    with pytest.raises(WeChatLied, match=str(status)):
        call(Answer(status, b'{"errcode":0}'))


def test_an_errmsg_of_any_type_and_length_is_bounded() -> None:
    with pytest.raises(WeChatRefused) as caught:
        call(says(errcode=45009, errmsg=["x" * 5000]))

    assert len(str(caught.value)) < 600


def test_chinese_text_goes_out_as_raw_utf8() -> None:
    transport = ScriptedTransport([says(errcode=0)])

    make_caller(transport).post("/p", {}, body={"a": "快答"}, deadline=soon())

    assert transport.sent[0].body == '{"a":"快答"}'.encode()


def test_failures_open_the_breaker_and_then_nothing_is_sent() -> None:
    transport = ScriptedTransport([Answer(500, b""), Answer(500, b"")])
    caller = make_caller(transport, failures=2)
    for _ in range(2):
        with pytest.raises(WeChatLied):
            caller.get("/p", {}, deadline=soon())

    with pytest.raises(BreakerOpen):
        caller.get("/p", {}, deadline=soon())

    assert len(transport.sent) == 2


def test_refusals_never_open_the_breaker() -> None:
    transport = ScriptedTransport([*[says(errcode=40029)] * 5, says(errcode=0)])
    caller = make_caller(transport, failures=2)
    for _ in range(5):
        with pytest.raises(CodeInvalid):
            caller.get("/p", {}, deadline=soon())

    assert caller.get("/p", {}, deadline=soon()) == {"errcode": 0}


def test_breakers_are_apart_by_path() -> None:
    transport = ScriptedTransport([Answer(500, b""), says(errcode=0)])
    caller = make_caller(transport, failures=1)
    with pytest.raises(WeChatLied):
        caller.get("/broken", {}, deadline=soon())

    assert caller.get("/whole", {}, deadline=soon()) == {"errcode": 0}


@pytest.mark.parametrize("error", [WeChatTimeout("/p"), PoolExhausted("/p")])
def test_impatience_and_our_own_full_pool_do_not_count_against_wechat(error) -> None:
    transport = ScriptedTransport([error] * 3 + [says(errcode=0)])
    caller = make_caller(transport, failures=2)
    for _ in range(3):
        with pytest.raises(type(error)):
            caller.get("/p", {}, deadline=soon(100))

    assert caller.get("/p", {}, deadline=soon(100)) == {"errcode": 0}


def test_a_patient_timeout_counts_against_wechat() -> None:
    transport = ScriptedTransport([WeChatTimeout("/p")])
    caller = make_caller(transport, failures=1)
    with pytest.raises(WeChatTimeout):
        caller.get("/p", {}, deadline=soon())

    with pytest.raises(BreakerOpen):
        caller.get("/p", {}, deadline=soon())


def test_the_observer_hears_each_outcome_once() -> None:
    notes = Notes()
    script = [says(errcode=0), says(errcode=-1), Answer(500, b""), says(errcode=77)]
    caller = make_caller(ScriptedTransport(list(script)), observer=notes)
    caller.get("/p", {}, deadline=soon())
    for _ in range(3):
        with pytest.raises(WeChatError):
            caller.get("/p", {}, deadline=soon())

    assert notes.outcomes == ["0", "-1", "lied", "other"]
