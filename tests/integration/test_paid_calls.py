"""Calls that WeChat bills: one for a code, settled honestly, within the caps."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from models.errors import KuaidaError, Limited
from models.paid_budgets import PaidBudget
from models.paid_calls import PaidCall, give_up, settle_call
from models.phones import Phone
from tests.integration.failures import refused
from tests.integration.private_house import (
    CALL,
    NUMBER,
    OPENID,
    OTHER,
    SHOWN,
    once,
    run_at_once,
)
from tests.servers.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.private_house import PrivateHouse


# One code, one call


def test_one_code_at_once_from_two_processes_is_one_call_and_one_charge(
    private: PrivateHouse, open_private: Callable[..., Any]
) -> None:
    me = private.join(OPENID, phone=NUMBER)
    code = private.phone_code(OPENID)
    private.fault(CALL, mode="delay", delay_ms=200)
    told: list[str] = []
    with open_private() as rival:
        rival.gateway._clients = private.gateway._clients

        def bind(where: PrivateHouse) -> None:
            told.append(where.bind(me, code, wait_ms=60_000))

        run_at_once([(bind, (where,)) for where in [private, rival] * 8])

    assert told == [SHOWN] * 16
    assert private.calls(CALL) == 1
    assert (private.ledger(), private.spent()) == ([("charged", True)], 3)


def test_a_code_sent_again_later_is_answered_without_a_call(
    private: PrivateHouse,
) -> None:
    me = private.join(OPENID, phone=NUMBER)
    code = private.phone_code(OPENID)

    assert [private.bind(me, code) for _ in range(3)] == [SHOWN] * 3
    assert private.calls(CALL) == 1


def test_a_used_code_is_refused_without_a_second_call(private: PrivateHouse) -> None:
    me = private.join(OPENID)

    for _ in range(2):
        assert refused(lambda: private.bind(me, "no-such-code")) == "login_code_invalid"

    assert private.calls(CALL) == 1
    assert (private.ledger(), private.spent()) == ([("free", True)], 0)


def test_the_code_of_another_user_is_worth_nothing(private: PrivateHouse) -> None:
    me, other = private.join(OPENID), private.join(OTHER, phone=NUMBER)
    code = private.phone_code(OTHER)

    assert refused(lambda: private.bind(me, code)) == "login_code_invalid"
    assert private.rows(Phone) == []
    assert private.bind(other, code) == SHOWN


def test_a_call_goes_on_without_a_caller_who_has_no_time(
    private: PrivateHouse,
) -> None:
    me = private.join(OPENID, phone=NUMBER)
    code, key = private.phone_code(OPENID), once("key")
    private.fault(CALL, mode="delay", delay_ms=1800, times=1)

    hasty = refused(lambda: private.bind(me, code, key, wait_ms=1200))

    # A machine that is too busy has not come to WeChat by then.
    assert hasty in {"wechat_timeout", "unavailable"}
    assert private.bind(me, code, once("key")) == SHOWN
    assert private.calls(CALL) == 1
    assert (private.ledger(), private.spent()) == ([("charged", True)], 3)


# What a call ended with


@pytest.mark.parametrize(
    ("how", "told", "state"),
    [
        ({"mode": "error", "errcode": 45011}, "rate_limited", "free"),
        ({"mode": "error", "errcode": 40013}, "wechat_failed", "free"),
        ({"mode": "error", "errcode": -1}, "wechat_failed", "free"),
        ({"mode": "accept_then_reset"}, "wechat_failed", "unknown"),
        ({"mode": "half_json"}, "wechat_failed", "unknown"),
        ({"mode": "http500"}, "wechat_failed", "unknown"),
        ({"mode": "stall"}, "wechat_timeout", "unknown"),
    ],
    ids=str,
)
def test_a_failed_call_is_settled_honestly_and_its_code_may_be_sent_again(
    private: PrivateHouse, how: dict[str, Any], told: str, state: str
) -> None:
    me = private.join(OPENID, phone=NUMBER)
    code = private.phone_code(OPENID)
    private.fault(CALL, **how)

    wait_ms = 6000 if how["mode"] == "stall" else 60_000
    assert refused(lambda: private.bind(me, code, wait_ms=wait_ms)) == told

    # A stalled call goes on for a while without its caller.
    settled = [(state, False)]
    wait_until(lambda: private.ledger() == settled, within_s=60, what="it is settled")
    assert private.spent() == (0 if state == "free" else 3)
    private.heal()
    if not how["mode"].startswith("accept"):
        # WeChat had not used the code up.
        assert private.bind(me, code) == SHOWN
    else:
        assert refused(lambda: private.bind(me, code)) == "login_code_invalid"


def test_a_call_whose_process_died_counts_as_spent_and_frees_its_code(
    private: PrivateHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = private.join(OPENID, phone=NUMBER)
    code = private.phone_code(OPENID)

    def die(*_: object, **__: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(private.gateway.client(me.app_id), "phone_number", die)
        with pytest.raises(SystemExit):
            private.bind(me, code)

    assert (private.ledger(), private.spent()) == ([("reserved", True)], 3)
    # With more time than a flight outlasts its caller by none goes on behind our back;
    # its last look at SQL may be the one that the end of the time cuts.
    told = refused(lambda: private.bind(me, code, wait_ms=4000))
    assert told in {"wechat_timeout", "unavailable"}
    with private.database.unit_of_work() as work:
        assert give_up(work.session, before=2**52, limit=10) == 1
    assert (private.ledger(), private.spent()) == ([("unknown", False)], 3)
    assert private.bind(me, code) == SHOWN
    assert private.spent() == 6


def test_a_late_word_corrects_an_unknown_end_and_no_other(
    private: PrivateHouse,
) -> None:
    me = private.join(OPENID, phone=NUMBER)
    private.bind(me, private.phone_code(OPENID))
    (row,) = private.rows(PaidCall)
    with private.database.unit_of_work() as work:
        settle_call(work.session, row.id, "free")
    assert (private.ledger(), private.spent()) == ([("charged", True)], 3)

    private.fault(CALL, mode="half_json")
    refused(lambda: private.bind(me, private.phone_code(OPENID)))
    unknown = max(private.rows(PaidCall), key=lambda row: row.id)
    with private.database.unit_of_work() as work:
        settle_call(work.session, unknown.id, "free")

    assert private.ledger()[1] == ("free", False)
    assert private.spent() == 3


# Caps


def test_a_user_may_cause_so_many_calls_a_day(open_private: Callable[..., Any]) -> None:
    with open_private(PHONE_USER_DAILY="2") as private:
        me = private.join(OPENID, phone=NUMBER)
        refused(lambda: private.bind(me, "free-of-charge"))
        for _ in range(2):
            private.bind(me, private.phone_code(OPENID))

        with pytest.raises(Limited) as error:
            private.bind(me, private.phone_code(OPENID))

        assert 0 < (error.value.retry_after_ms or 0) <= 86_400_000
        assert private.calls(CALL) == 3
        other = private.join(OTHER)
        assert private.bind(other, private.phone_code(OTHER)) != SHOWN


def test_an_app_never_spends_more_than_its_month_allows(
    open_private: Callable[..., Any],
) -> None:
    with open_private(PHONE_MONTHLY_CAP_FEN="10") as private:
        people = [f"oPRIVATE00000000000000000n{number:02}" for number in range(8)]
        known = {openid: private.join(openid) for openid in people}
        told: list[str] = []
        start = threading.Barrier(8)

        def bind(openid: str) -> None:
            code = private.phone_code(openid)
            start.wait(60)
            try:
                private.bind(known[openid], code, wait_ms=60_000)
                told.append("bound")
            except KuaidaError as error:
                told.append(error.reason)

        run_at_once([(bind, (openid,)) for openid in people])

        assert sorted(told) == ["bound"] * 3 + ["rate_limited"] * 5
        assert private.calls(CALL) == 3
        (budget,) = private.rows(PaidBudget)
        assert budget.spent_fen == 9
