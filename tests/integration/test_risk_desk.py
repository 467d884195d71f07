"""Why the rules do what they do, and an administrator's say, over real stores."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from models.audit import AuditEntry
from models.behaviour_figures import Subject
from models.errors import InvalidInput, Limited, NotFound
from models.stores.admission import Caller, FailedExchange
from models.support_codes import support_code_of
from models.timeline import read_timeline
from tests.integration.openings import entry, new
from tests.integration.risk_house import ADDRESS, APP, RiskHouse, metronome
from web.services.account_finder import AccountFinder
from web.services.risk import Choice, RiskDesk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from config.settings import Settings
    from models.standings import Action
    from models.stores.container import Stores

Open = Any


@pytest.fixture
def house(
    database_url: str, redis_url: str, make_settings: Callable[..., Settings]
) -> Iterator[RiskHouse]:
    settings = make_settings(
        DATABASE_URL=database_url, REDIS_URL=redis_url, BROKER_URL=redis_url,
        RISK_USERS_PER_DEVICE="2/60",
        RATE_LIMITS='{"read.user": "10/0.001", "write.ip": "5/0.001"}',
    )  # fmt: skip
    opened = RiskHouse.open(settings)
    yield opened
    opened.house.close()


def desk_over(house: RiskHouse, stores: Stores) -> RiskDesk:
    settings, database = house.house.settings, house.house.database
    finder = AccountFinder(settings, stores, database)
    return RiskDesk(settings, stores, database, finder)


@pytest.fixture
def desk(house: RiskHouse) -> RiskDesk:
    return desk_over(house, house.house.stores)


def make_bot(house: RiskHouse, **more: float) -> str:
    user_id = house.user("bot", device="phone")
    house.behave(Subject("user", user_id), **metronome(requests=1000, **more))
    house.run()
    return user_id


def acts(house: RiskHouse) -> list[tuple[str, str, str | None]]:
    with house.house.database.read() as session:
        rows = session.query(AuditEntry).order_by(AuditEntry.id)
        return [(row.act, row.subject_id, row.detail) for row in rows]


def test_a_bot_is_explained(house: RiskHouse, desk: RiskDesk) -> None:
    user_id = make_bot(house)
    caller = Caller("10.0.0.1", user=user_id)
    for _ in range(9):
        house.house.stores.admission.admit_request("read", caller)

    told = desk.explain(user_id)

    assert (told.kind, told.action, told.decided) == ("user", "slow", "slow")
    assert told.score == pytest.approx(60, abs=0.2)
    assert told.wechat_rank == 0
    assert sorted(told.why) == [
        "WeChat's rank 0",
        "fast scored 30",
        "regular scored 30",
    ]
    evidence = [json.loads(bytes(mark.evidence)) for mark in told.marks]
    assert {"requests": 1000.0, "window_s": 300.0, "limit": 900.0} in evidence
    assert told.behaviour is not None
    assert told.behaviour.requests == 1000
    assert [(b.rule, b.burst, b.level) for b in told.buckets] == [
        # Slowed down: a quarter of each is left.
        ("read.user", 2, pytest.approx(1, abs=0.1)),
        ("write.user", 30, 30),
    ]
    assert told.action_until == told.decided_until
    assert told.linked == ["phone"]
    assert told.away == []


def test_a_farms_phone_is_explained(house: RiskHouse, desk: RiskDesk) -> None:
    for name in ("one", "two"):
        house.user(name, device="farm")
    house.run()

    told = desk.explain("farm")

    assert (told.kind, told.watched, told.action) == ("device", True, "slow")
    assert told.why == ["users_per_device scored 60"]
    assert sorted(told.linked) == ["u_one", "u_two"]


def test_lock_outs_are_told_and_lifted(house: RiskHouse, desk: RiskDesk) -> None:
    user_id = house.user("ann", device="phone")
    caller, admission = Caller(ADDRESS, device="phone"), house.house.stores.admission
    failure = FailedExchange(mark="f", record=b"r", life_ms=0, counts=True)
    admission.record_failure(caller, "code", failure)
    assert desk.explain(user_id).lock_outs[0].failures == pytest.approx(1, abs=0.5)
    for _ in range(4):
        admission.record_failure(caller, "code", failure)

    (lock,) = desk.explain("phone").lock_outs
    assert (lock.ip, lock.device_id) == (ADDRESS, "phone")
    assert 200_000 < lock.retry_after_ms <= 300_000

    desk.clear("phone", "a tester")
    admission.admit_login(caller, "code-2", mark="f", flight_ms=1000)
    assert desk.explain("phone").lock_outs == []


@pytest.mark.parametrize("name", ["lost", "198.51.100.7"])
def test_who_only_ever_failed_is_found_and_let_go(
    house: RiskHouse, desk: RiskDesk, name: str
) -> None:
    caller, admission = (
        Caller("198.51.100.7", device="lost"),
        house.house.stores.admission,
    )
    failure = FailedExchange(mark="f", record=b"r", life_ms=0, counts=True)
    for _ in range(5):
        admission.record_failure(caller, "code", failure)
    with pytest.raises(Limited):
        admission.admit_login(caller, "code", mark="f", flight_ms=1000)
    (refused,) = desk.limits(100).refused
    assert (refused.rule, refused.count) == ("login.failures", 1)
    assert refused.subject == "198.51.100.7:lost"

    told = desk.explain(name)
    (lock,) = told.lock_outs
    assert (lock.ip, lock.device_id) == ("198.51.100.7", "lost")
    assert (told.kind, told.action) == ("device" if name == "lost" else "ip", "allow")

    assert desk.clear(name, "a shop's phone").cleared == 0
    admission.admit_login(caller, "code-2", mark="f", flight_ms=1000)
    assert desk.explain(name).lock_outs == []
    assert acts(house) == [("risk.clear", name, "a shop's phone")]


def test_an_address_is_told_its_buckets(house: RiskHouse, desk: RiskDesk) -> None:
    house.house.stores.admission.admit_request("write", Caller("198.51.100.7"))

    levels = {one.rule: one.level for one in desk.explain("198.51.100.7").buckets}

    assert levels["write.ip"] == pytest.approx(4, abs=0.1)
    assert levels["read.ip"] == 1200


def test_a_user_is_found_by_openid_and_support_code(
    house: RiskHouse, desk: RiskDesk
) -> None:
    user_id = house.login("1" * 26, "phone")

    for name in ("o-" + "1" * 26, support_code_of(user_id)):
        assert desk.explain(name).id == user_id
        assert desk.override(name, Choice("slow", 60, "x")).id == user_id
        assert desk.clear(name, "x").id == user_id


def test_cleared_marks_count_no_more_at_once(house: RiskHouse, desk: RiskDesk) -> None:
    user_id = make_bot(house, misses=900)
    assert house.standing(user_id).action == "verify"

    changed = desk.clear(user_id, "a partner's robot")

    assert (changed.action, changed.cleared) == ("allow", 3)
    told = desk.explain(user_id)
    assert (told.action, told.score, told.why) == ("allow", 0, [])
    assert {(mark.state, mark.weighs, mark.cleared_by) for mark in told.marks} == {
        ("cleared", 0, "admin")
    }
    copied = house.house.stores.keys.standing(user_id)
    assert house.house.stores.redis.execute("HGET", copied, "action") == b""
    assert acts(house) == [("risk.clear", user_id, "a partner's robot")]


def test_a_user_whose_login_is_not_enriched_yet_is_judged(
    house: RiskHouse, desk: RiskDesk
) -> None:
    stores, user_id = house.house.stores, "u_late"
    stores.sessions.open(new(entry=entry(user_id=user_id, app_id=APP)))

    assert desk.explain(user_id).kind == "user"
    assert desk.clear(user_id, "fine").kind == "user"
    changed = desk.override(user_id, Choice("block", 3600, "stolen cards"))

    assert (changed.kind, changed.id, changed.action) == ("user", user_id, "block")
    assert house.standing(user_id).action == "block"
    assert desk.explain(user_id).app_id == APP


def test_an_override_holds_and_is_written_down(
    house: RiskHouse, desk: RiskDesk
) -> None:
    user_id = house.user("thief")

    changed = desk.override(user_id, Choice("block", 3600, "stolen cards"))

    assert changed.action == "block"
    told = desk.explain(user_id)
    assert (told.action, told.override) == ("block", True)
    assert told.why == ["an administrator's choice"]
    house.behave(Subject("user", user_id), requests=60, gaps=50, total=90, squares=500)
    house.run()
    assert house.standing(user_id).action == "block"
    assert acts(house) == [("risk.override", user_id, "block for 3600 s: stolen cards")]
    freed = desk.override(user_id, Choice("allow", 60, "a mistake"))
    assert freed.action == "allow"
    told = desk.explain(user_id)
    assert freed.action_until == told.action_until == told.decided_until is not None
    assert len(desk.explain(user_id).marks) == 1


def test_a_device_is_watched_by_choice(house: RiskHouse, desk: RiskDesk) -> None:
    house.user("ann", device="phone")

    desk.override("phone", Choice("slow", 3600, "rented out"))
    told = desk.explain("phone")
    assert told.watched
    assert told.action_until == pytest.approx(told.decided_until, abs=60_000)
    assert [(b.rule, b.burst) for b in told.buckets] == [("login.device", 30)]
    house.run()
    assert house.house.stores.behaviour.watched_ms("phone") > 0

    desk.clear("phone", "returned")
    assert not desk.explain("phone").watched


@pytest.mark.parametrize("action", ["verify", "block"])
def test_a_device_is_given_no_action_that_does_nothing(
    house: RiskHouse, desk: RiskDesk, action: Action
) -> None:
    house.user("ann", device="phone")

    with pytest.raises(InvalidInput) as refused:
        desk.override("phone", Choice(action, 3600, "a thief's"))

    (fault,) = refused.value.faults
    assert (fault.field, fault.reason) == ("action", "not_for_devices")
    assert "allow or slow" in fault.msg
    assert (acts(house), house.marks(Subject("device", "phone"))) == ([], {})


def test_a_stranger_is_not_found(house: RiskHouse, desk: RiskDesk) -> None:
    for act in (
        lambda: desk.explain("nobody"),
        lambda: desk.clear("nobody", "x"),
        lambda: desk.override("nobody", Choice("slow", 60, "x")),
    ):
        with pytest.raises(NotFound):
            act()
    assert acts(house) == []


def test_without_redis_the_marks_are_told(
    house: RiskHouse, make_settings: Callable[..., Settings]
) -> None:
    user_id = make_bot(house)
    nowhere = RiskHouse.stores_of(make_settings(REDIS_URL="redis://127.0.0.1:1/0"))
    desk = desk_over(house, nowhere)

    told = desk.explain(user_id)
    assert (told.action, told.away, told.behaviour) == ("slow", ["redis"], None)
    assert desk.clear(user_id, "x").action == "allow"
    assert desk.limits(100).away == ["redis"]


def test_limits_tell_who_was_refused(house: RiskHouse, desk: RiskDesk) -> None:
    for _ in range(13):
        try:
            caller = Caller("10.0.0.1", user="u_greedy")
            house.house.stores.admission.admit_request("read", caller)
        except Limited:
            continue

    told = desk.limits(100)

    assert [(r.rule, r.subject, r.count) for r in told.refused] == [
        ("read.user", "u_greedy", 3)
    ]
    assert ("read.user", 10) in [(rule.name, rule.burst) for rule in told.rules]
    assert (told.login_failures, told.lock_s, told.dry_run) == (5, 300, False)


def test_the_timeline_of_a_user_shows_the_decisions(
    house: RiskHouse, desk: RiskDesk
) -> None:
    user_id = make_bot(house)
    desk.clear(user_id, "fine")

    with house.house.database.read() as session:
        timeline = read_timeline(session, user_id)

    assert timeline is not None
    told = {(entry.kind, entry.what) for entry in timeline.entries}
    assert {("risk_mark", "cleared"), ("audit", "risk.clear")} <= told
