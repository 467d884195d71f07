"""The behaviour rules from figures and logins to marks, actions and back."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import REGISTRY

from config.clock import now_ms
from models.base import database_now
from models.behaviour_figures import Subject
from models.outbox import Outbox
from models.risk_actions import clear_user, clear_verified, settle_user
from models.risk_marks import prune, write_override
from models.risk_overrides import Override
from models.standings import PUBLISH
from models.stores.container import open_stores
from tasks.app import _process
from tests.integration.risk_house import APP, RiskHouse, metronome
from wechat.client import RISK_RANK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from config.settings import Settings

Open = Any
HOUR_MS = 3_600_000


@pytest.fixture
def open_house(
    database_url: str, redis_url: str, make_settings: Callable[..., Settings]
) -> Iterator[Callable[..., RiskHouse]]:
    opened: list[RiskHouse] = []

    def make(**variables: str) -> RiskHouse:
        urls = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
        settings = make_settings(**urls, BROKER_URL=redis_url, **variables)
        opened.append(RiskHouse.open(settings))
        return opened[-1]

    yield make
    for house in opened:
        house.house.close()


def figure(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_a_bot_is_marked_with_its_evidence_and_slowed(open_house: Open) -> None:
    house = open_house(RISK_RANK_CALLS="0")
    user_id = house.user("bot")
    house.behave(Subject("user", user_id), **metronome(requests=1000))

    assert house.run() == "done"

    marks = house.marks(Subject("user", user_id))
    assert set(marks) == {"regular", "fast"}
    evidence = json.loads(marks["regular"].evidence)
    assert evidence["mean_gap_s"] == 1.0
    assert evidence["variation"] < 0.1
    assert json.loads(marks["fast"].evidence)["requests"] == 1000
    assert (marks["fast"].score, marks["fast"].state) == (30, "active")
    standing = house.standing(user_id)
    assert standing.action == "slow"
    # 60 fades to the 40 of `slow` within 0.6 of a half-life of an hour.
    assert (standing.action_until or 0) - now_ms() == pytest.approx(
        0.603 * HOUR_MS, rel=0.01
    )
    assert house.events(user_id) == ["risk_marked: slow at 60: fast, regular"]
    with house.house.database.read() as session:
        assert session.query(Outbox).filter_by(name=PUBLISH).count() == 1


def test_people_are_left_alone_and_looked_at_once(open_house: Open) -> None:
    house = open_house()
    user_id = house.user("ann")
    person = {"requests": 80, "gaps": 70, "total": 300, "squares": 3000, "turns": 40}
    house.behave(Subject("user", user_id), **person)

    house.run()

    assert house.marks(Subject("user", user_id)) == {}
    assert house.standing(user_id).action == "allow"
    assert house.house.stores.behaviour.list_busy(10) == []
    assert house.questions() == 0


def test_a_run_repeated_renews_and_adds_nothing(open_house: Open) -> None:
    house = open_house(RISK_RANK_CALLS="0")
    user_id = house.user("bot")
    subject = Subject("user", user_id)
    for _ in range(3):
        house.behave(subject, **metronome(requests=1000))
        house.run()

    with house.house.database.read() as session:
        published = session.query(Outbox).filter_by(name=PUBLISH).count()
    # The same action with nearly the same end is no change of the standing.
    assert published == 1
    assert len(house.events(user_id)) == 1
    assert len(house.marks(subject)) == 2


def test_three_rules_ask_for_verification_and_a_phone_lifts_it(
    open_house: Open,
) -> None:
    house = open_house()
    user_id = house.user("scanner")
    odd = metronome(requests=1000, misses=900)
    house.behave(Subject("user", user_id), **odd)
    house.run()
    assert house.standing(user_id).action == "verify"
    # A weight as high as this needs no word of WeChat.
    assert house.questions() == 0

    policy = house.house.settings.risk
    with house.house.database.unit_of_work() as work:
        assert clear_verified(work, user_id, policy)
        assert not clear_verified(work, user_id, policy)

    assert house.standing(user_id).action == "allow"
    marks = house.marks(Subject("user", user_id))
    assert {mark.cleared_by for mark in marks.values()} == {"verified"}
    assert house.events(user_id)[-1] == "risk_cleared: allow at 0: no marks"
    # What goes on is found again.
    house.behave(Subject("user", user_id), **odd)
    house.run()
    assert house.standing(user_id).action == "verify"


@pytest.mark.parametrize(
    ("rank", "action"), [(0, "allow"), (1, "slow"), (3, "verify"), (4, "block")]
)
def test_wechat_decides_in_the_grey_zone_and_is_asked_once(
    open_house: Open, rank: int, action: str
) -> None:
    house = open_house()
    user_id = house.user("grey", rank=rank)
    subject = Subject("user", user_id)
    for _ in range(2):
        house.behave(subject, **metronome())
        house.run()

    assert house.standing(user_id).action == action
    assert house.marks(subject)["regular"].wechat_rank == rank
    assert house.questions() == 1


@pytest.mark.parametrize(
    ("how", "again"),
    [
        ({"mode": "error", "errcode": 48001}, False),
        ({"mode": "error", "errcode": 61010}, False),
        ({"mode": "error", "errcode": 61081}, True),
        ({"mode": "reset"}, True),
        ({"mode": "half_json"}, True),
    ],
)
def test_without_wechat_our_own_word_decides(
    open_house: Open, how: dict[str, Any], *, again: bool
) -> None:
    house = open_house()
    user_id = house.user("grey", rank=4)
    outcome = "refused" if "errcode" in how else "failed"
    before = figure("kuaida_risk_ranks_total", outcome=outcome)
    house.wechat.control("POST", "/_sim/faults", {"path": RISK_RANK, **how})
    for _ in range(2):
        house.behave(Subject("user", user_id), **metronome(requests=1000))
        assert house.run() == "done"

    # Regular and fast: slow by our own weight, whatever WeChat would have said.
    assert house.standing(user_id).action == "slow"
    assert house.questions() == (2 if again else 1)
    counted = figure("kuaida_risk_ranks_total", outcome=outcome) - before
    assert counted == (2 if again else 1)


def test_an_app_without_the_call_is_asked_about_one_user_a_run(
    open_house: Open,
) -> None:
    house = open_house()
    fault = {"path": RISK_RANK, "mode": "error", "errcode": 48001}
    house.wechat.control("POST", "/_sim/faults", fault)
    for number in range(5):
        user_id = house.user(f"grey{number}")
        house.behave(Subject("user", user_id), **metronome())

    house.run()

    assert house.questions() == 1


def test_a_farm_puts_its_device_on_the_watch_list(open_house: Open) -> None:
    house = open_house(RISK_USERS_PER_DEVICE="4/40")
    for number in range(4):
        house.user(f"puppet{number}", device="farm-phone")

    house.run()

    subject = Subject("device", "farm-phone")
    mark = house.marks(subject)["users_per_device"]
    assert json.loads(mark.evidence) == {"count": 4, "limit": 4.0}
    assert house.house.stores.behaviour.watched_ms("farm-phone") > 0
    # Whoever logs in through it from now on is asked about.
    newcomer = house.user("newcomer", rank=4, device="farm-phone")
    house.run()
    assert set(house.marks(Subject("user", newcomer))) == {"watched_device"}
    assert house.standing(newcomer).action == "block"


def test_the_watch_list_comes_back_after_redis_lost_it(open_house: Open) -> None:
    house = open_house(RISK_USERS_PER_DEVICE="2/200")
    for number in range(2):
        house.user(f"puppet{number}", device="farm-phone")
    house.run()
    house.house.stores.redis.execute("FLUSHDB")

    house.run()

    assert house.house.stores.behaviour.watched_ms("farm-phone") > 0


def test_many_devices_of_one_user_are_a_finding(open_house: Open) -> None:
    house = open_house(RISK_DEVICES_PER_USER="3/40", RISK_RANK_CALLS="0")
    for number in range(3):
        user_id = house.login("many", f"phone-{number}")

    house.run()

    assert set(house.marks(Subject("user", user_id))) == {"devices_per_user"}
    assert house.standing(user_id).action == "slow"


def test_a_device_nobody_logged_in_from_is_nobodys(open_house: Open) -> None:
    house = open_house()
    made_up, nobody = Subject("device", "made-up"), Subject("user", "u_nobody")
    for subject in (made_up, nobody):
        house.behave(subject, **metronome(requests=1000, misses=900))

    house.run()

    assert house.marks(made_up) == {}
    assert house.marks(nobody) == {}


def test_an_action_that_has_run_out_is_settled(open_house: Open) -> None:
    house = open_house(RISK_RANK_CALLS="0", RISK_HALF_LIFE_S="60", RISK_MARK_S="60")
    user_id = house.user("bot")
    house.behave(Subject("user", user_id), **metronome(requests=1000))
    house.run()
    with house.house.database.unit_of_work() as work:
        work.session.connection().exec_driver_sql(
            "UPDATE risk_marks SET at = at - 120000, ends_at = ends_at - 120000"
        )

    house.run()

    standing = house.standing(user_id)
    assert (standing.action, standing.action_until) == ("allow", None)
    assert house.events(user_id)[-1].startswith("risk_cleared")


def test_a_person_overrules_the_rules_until_cleared(open_house: Open) -> None:
    house = open_house(RISK_RANK_CALLS="0")
    user_id = house.user("partner")
    subject, policy = Subject("user", user_id), house.house.settings.risk
    with house.house.database.unit_of_work() as work:
        now = database_now(work.session)
        choice = Override(action="allow", reason="a partner's robot")
        write_override(work.session, subject, APP, choice, (now, now + HOUR_MS))
        settle_user(work, user_id, policy)
    house.behave(subject, **metronome(requests=1000, misses=900))
    house.run()
    assert house.standing(user_id).action == "allow"

    with house.house.database.unit_of_work() as work:
        assert clear_user(work, user_id, "admin", policy) == 4
    assert house.standing(user_id).action == "allow"
    house.behave(subject, **metronome(requests=1000, misses=900))
    house.run()
    assert house.standing(user_id).action == "verify"


@pytest.mark.parametrize("switch", [{"RISK_RULES": "false"}, {"RATE_LIMITS": "off"}])
def test_switched_off_nobody_is_judged(
    open_house: Open, switch: dict[str, str]
) -> None:
    house = open_house(**switch)
    user_id = house.user("bot")
    house.behave(Subject("user", user_id), **metronome(requests=1000))

    assert house.run() == "done"

    assert house.marks(Subject("user", user_id)) == {}


def test_without_redis_the_logins_are_judged_all_the_same(
    open_house: Open, make_settings: Callable[..., Settings]
) -> None:
    house = open_house(RISK_DEVICES_PER_USER="3/40", RISK_RANK_CALLS="0")
    for number in range(3):
        user_id = house.login("many", f"phone-{number}")
    house.house.stores.redis.close()
    nowhere = make_settings(REDIS_URL="redis://127.0.0.1:1/0")
    _process._opened = replace(house.house, stores=open_stores(nowhere))
    assert house.run() == "done"

    assert house.standing(user_id).action == "slow"


def test_old_marks_go(open_house: Open) -> None:
    house = open_house(RISK_RANK_CALLS="0")
    user_id = house.user("bot")
    house.behave(Subject("user", user_id), **metronome())
    house.run()

    later = now_ms() + 2 * 24 * HOUR_MS
    with house.house.database.unit_of_work() as work:
        assert prune(work.session, before=now_ms(), limit=10) == 0
        assert prune(work.session, before=later, limit=10) == 1
    assert house.marks(Subject("user", user_id)) == {}
