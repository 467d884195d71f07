"""Phone numbers by code and by data, on both databases; WeChat is the simulator."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from config.clock import Deadline
from config.patience import under
from models.account_links import AccountLink
from models.errors import (
    DatabaseUnavailable,
    KeyReused,
    KuaidaError,
    OpenDataRefused,
    Upstream,
)
from models.idempotency import IdempotencyKey, Once, Replayed
from models.identities import Identity
from models.paid_calls import PaidCall
from models.phones import Phone
from models.sealing import sealer_for
from models.security_events import SecurityEvent
from models.user_events import UserEvent
from tests.conftest import NOWHERE
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

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.private_house import PrivateHouse
    from web.services.caller import Claims


# Binding


def test_a_code_binds_the_number_sealed_and_masked(private: PrivateHouse) -> None:
    me = private.join(OPENID)

    assert private.bind(me, private.phone_code(OPENID, NUMBER)) == SHOWN

    (row,) = private.rows(Phone)
    assert (row.user_id, row.masked, row.country_code) == (me.user_id, SHOWN, "86")
    assert NUMBER.encode() not in row.phone_sealed
    assert NUMBER not in row.phone_hash
    assert private.profile_phone(me) == SHOWN
    assert private.ledger() == [("charged", True)]
    assert private.spent() == 3
    assert [event.type for event in private.rows(UserEvent)] == ["phone.bound"]
    assert [event.kind for event in private.rows(SecurityEvent)] == ["phone_bound"]


def test_what_is_paid_for_is_bound_however_impatient_the_client_is(
    private: PrivateHouse,
) -> None:
    me = private.join(OPENID)
    code = private.phone_code(OPENID, NUMBER)
    fault = {"path": CALL, "mode": "delay", "delay_ms": 1200}
    private.wechat.control("POST", "/_sim/faults", fault)

    with under(Deadline.after_ms(1000)), suppress(DatabaseUnavailable):
        private.bind(me, code)

    assert private.ledger() == [("charged", True)]
    assert private.profile_phone(me) == SHOWN


def test_encrypted_data_binds_the_number_for_nothing(private: PrivateHouse) -> None:
    me = private.join(OPENID, phone=NUMBER)
    data, _ = private.sealed(OPENID, "phone")

    bound = private.phones.bind_by_data(me, data, Deadline.after_ms(60_000))

    assert bound.phone_masked == SHOWN == private.profile_phone(me)
    assert (private.calls(CALL), private.rows(PaidCall)) == (0, [])


@pytest.mark.parametrize("country", ["86", 86, "0086"])
def test_a_number_is_the_same_however_its_country_is_spelled(
    private: PrivateHouse, country: object
) -> None:
    me = private.join(OPENID)
    private.bind(me, private.phone_code(OPENID, NUMBER))
    data, _ = private.sealed(
        OPENID, "phone", countryCode=country, purePhoneNumber="138 0000-8000"
    )

    private.phones.bind_by_data(me, data, Deadline.after_ms(60_000))

    assert len(private.rows(UserEvent)) == 1


@pytest.mark.parametrize(
    ("country", "number"), [("86", "123"), ("8612", NUMBER), ("86", "1" * 14)]
)
def test_data_without_a_plausible_number_binds_nothing(
    private: PrivateHouse, country: str, number: str
) -> None:
    me = private.join(OPENID)
    data, _ = private.sealed(
        OPENID, "phone", countryCode=country, purePhoneNumber=number
    )

    with pytest.raises(OpenDataRefused) as refused:
        private.phones.bind_by_data(me, data, Deadline.after_ms(60_000))

    assert refused.value.reason == "decrypt_failed"
    assert private.rows(Phone) == private.rows(UserEvent) == []


def test_a_code_without_a_plausible_number_binds_nothing_and_counts_as_spent(
    private: PrivateHouse,
) -> None:
    me = private.join(OPENID, phone="123")

    with pytest.raises(Upstream) as failed:
        private.bind(me, private.phone_code(OPENID))

    assert failed.value.reason == "wechat_failed"
    assert private.rows(Phone) == private.rows(UserEvent) == []
    assert [state for state, _ in private.ledger()] == ["unknown"]


def test_the_same_number_again_changes_nothing(private: PrivateHouse) -> None:
    me = private.join(OPENID, phone=NUMBER)
    for _ in range(2):
        assert private.bind(me, private.phone_code(OPENID)) == SHOWN

    assert len(private.rows(Phone)) == len(private.rows(UserEvent)) == 1
    assert private.ledger() == [("charged", True)] * 2


def test_another_number_takes_the_place_and_is_noted(private: PrivateHouse) -> None:
    me = private.join(OPENID, phone=NUMBER)
    private.bind(me, private.phone_code(OPENID))

    assert private.bind(me, private.phone_code(OPENID, "13911112222")) == "139****2222"

    assert [row.masked for row in private.rows(Phone)] == ["139****2222"]
    assert private.profile_phone(me) == "139****2222"
    events = sorted(private.rows(SecurityEvent), key=lambda event: event.id)
    assert [event.kind for event in events] == ["phone_bound", "phone_changed"]
    kinds = [event.data for event in private.rows(UserEvent)]
    assert kinds == ['{"replaced": false}', '{"replaced": true}']


def test_the_cached_profile_goes_with_the_binding(private: PrivateHouse) -> None:
    me = private.join(OPENID, phone=NUMBER)
    stores, name = private.stores, private.stores.keys.user(me.user_id)
    stores.redis.execute("SET", name, b"{}")

    private.bind(me, private.phone_code(OPENID))

    assert (
        private.stores.redis.execute("GET", private.stores.keys.user(me.user_id))
        is None
    )


def test_without_redis_a_user_whom_sql_knows_binds_by_code(
    private: PrivateHouse, open_private: Callable[..., Any]
) -> None:
    me = private.join(OPENID)
    seal = sealer_for(private.settings.secrets, "identity").seal
    row = Identity(
        app_id=me.app_id,
        openid_hash="h",
        user_id=me.user_id,
        openid_sealed=seal(OPENID.encode(), me.user_id),
        created_at=1,
    )
    with private.database.unit_of_work() as work:
        work.session.add(row)
    code = private.phone_code(OPENID, NUMBER)
    with open_private(REDIS_URL=NOWHERE) as away:
        away.gateway._clients = private.gateway._clients

        assert away.bind(me, code) == SHOWN


def test_a_user_whose_openid_nobody_knows_logs_in_first(private: PrivateHouse) -> None:
    me = private.join(OPENID)
    private.stores.redis.execute("DEL", private.stores.keys.wechat_key(me.user_id))

    assert refused(lambda: private.bind(me, "c1")) == "session_key_stale"
    assert private.rows(PaidCall) == []


def test_data_without_a_number_is_refused(private: PrivateHouse) -> None:
    me = private.join(OPENID)
    data, _ = private.sealed(OPENID, "user_info")
    deadline = Deadline.after_ms(60_000)

    assert (
        refused(lambda: private.phones.bind_by_data(me, data, deadline))
        == "decrypt_failed"
    )


# One number, two accounts


@pytest.mark.parametrize("way", ["code", "data"])
def test_a_number_of_another_account_is_a_conflict_that_support_sees(
    private: PrivateHouse, way: str
) -> None:
    first, second = (
        private.join(OPENID, phone=NUMBER),
        private.join(OTHER, phone=NUMBER),
    )
    private.bind(first, private.phone_code(OPENID))
    data, _ = private.sealed(OTHER, "phone")
    code = private.phone_code(OTHER)
    deadline = Deadline.after_ms(60_000)

    def bind(key: Once | None = None) -> object:
        if way == "data":
            return private.phones.bind_by_data(second, data, deadline, key)
        return private.bind(second, code, key)

    assert refused(bind) == "conflict"
    assert refused(lambda: bind(once("k1"))) == "conflict"

    (link,) = private.rows(AccountLink)
    pair = sorted((first.user_id, second.user_id))
    assert [link.user_id, link.other_user_id] == pair
    assert (link.reason, link.state) == ("phone", "found")
    assert [row.user_id for row in private.rows(Phone)] == [first.user_id]
    assert private.profile_phone(second) is None
    assert "phone_conflict" in {event.kind for event in private.rows(SecurityEvent)}
    assert private.calls(CALL) == (2 if way == "code" else 1)


def test_two_accounts_at_once_bind_a_number_to_one(
    private: PrivateHouse,
) -> None:
    people = [private.join(openid, phone=NUMBER) for openid in (OPENID, OTHER)]
    codes = [private.phone_code(openid) for openid in (OPENID, OTHER)]
    told: list[str] = []
    start = threading.Barrier(2)

    def bind(me: Claims, code: str) -> None:
        start.wait(60)
        try:
            told.append(private.bind(me, code))
        except KuaidaError as error:
            told.append(error.reason)

    run_at_once([(bind, pair) for pair in zip(people, codes, strict=True)])

    assert sorted(told) == [SHOWN, "conflict"]
    assert len(private.rows(Phone)) == len(private.rows(AccountLink)) == 1


# Idempotency


def test_a_key_keeps_its_answer_without_a_second_call(
    private: PrivateHouse,
) -> None:
    me = private.join(OPENID, phone=NUMBER)
    code = private.phone_code(OPENID)
    private.bind(me, code, once("k1"))
    (row,) = private.rows(IdempotencyKey)
    assert row.answer is None
    assert row.subject_id == private.rows(PaidCall)[0].id

    # Its process died before it had the answer: the same request goes on from there.
    assert private.bind(me, code, once("k1")) == SHOWN
    with pytest.raises(KeyReused):
        private.bind(me, private.phone_code(OPENID), once("k1", body="other"))

    assert private.calls(CALL) == 1


def test_data_under_a_key_is_bound_once(private: PrivateHouse) -> None:
    me = private.join(OPENID, phone=NUMBER)
    data, _ = private.sealed(OPENID, "phone")
    deadline = Deadline.after_ms(60_000)
    private.phones.bind_by_data(me, data, deadline, once("k1"))

    with pytest.raises(Replayed) as replay:
        private.phones.bind_by_data(me, data, deadline, once("k1"))

    assert replay.value.kept.data == b'{"phone_masked":"138****8000"}'
