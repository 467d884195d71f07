"""Why a request was refused: found by its id, bounded, and silent about addresses."""

from __future__ import annotations

import json
from contextlib import ExitStack, closing, suppress
from typing import TYPE_CHECKING, Any

import pytest

from config.clock import now_ms
from models.errors import Limited, NotFound, RedisUnavailable
from models.standings import UserStanding
from models.stores.admission import Caller
from models.stores.container import open_stores
from tests.conftest import NOWHERE
from tests.integration.session_house import House
from tests.integration.test_admission import fail, knock
from web.app import create_app
from web.ops_app import create_ops_app
from web.services.sessions import SessionService
from web.services.timeline import TimelineService

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from config.settings import Settings
    from models.database import Database
    from models.stores.container import Stores

Open = Any
SLOW = "0.001"
IP = "203.0.113.7"


@pytest.fixture
def open_house(
    redis_url: str, make_settings: Callable[..., Settings]
) -> Iterator[Callable[..., Stores]]:
    """Open stores with the limits a test names."""
    with ExitStack() as opened:

        def make(rules: dict[str, str], **variables: str) -> Stores:
            limits = {"REDIS_URL": redis_url, "RATE_LIMITS": json.dumps(rules)}
            stores = open_stores(make_settings(**{**limits, **variables}))
            return opened.enter_context(closing(stores))

        yield make


def ask(stores: Stores, request_id: str, **who: str) -> None:
    """Ask to read, and do not mind the answer."""
    caller = Caller(IP, request_id=request_id, **who)
    with suppress(Limited):
        stores.admission.admit_request("read", caller)


def told(stores: Stores, database: Database, name: str) -> list[dict[str, Any]]:
    """Return what the timeline tells of refusals, without their times."""
    timeline = TimelineService(database, stores.refusals).read(name)
    assert IP not in str(timeline)
    return [
        {"id": entry.id, "what": entry.what, **entry.detail}
        for entry in timeline.entries
        if entry.kind == "refusal"
    ]


def lines(stores: Stores) -> int:
    return int(stores.redis.execute("XLEN", stores.keys.refusals))


def test_a_bucket_tells_its_rule_and_the_wait(
    open_house: Open, database: Database
) -> None:
    stores = open_house({"read.user": f"1/{SLOW}", "read.ip": "9/9"})
    before = now_ms()
    for name in ("req-1", "req-2"):
        ask(stores, name, user="u_ann", device="phone", app="wx1")

    with pytest.raises(NotFound):
        told(stores, database, "req-1")
    (refused,) = told(stores, database, "req-2")
    assert 990_000 < refused.pop("retry_after_ms") <= 1_000_000
    assert refused == {
        "id": "req-2",
        "what": "refused",
        "reason": "rate_limited",
        "rule": "read.user",
        "user_id": "u_ann",
        "device_id": "phone",
        "app_id": "wx1",
        "see": "risk/u_ann",
    }
    (entry,) = TimelineService(database, stores.refusals).read("req-2").entries
    assert before - 1000 <= entry.at <= now_ms() + 1000
    for name in ("u_ann", "phone"):
        assert [one["id"] for one in told(stores, database, name)] == ["req-2"]


def test_nobody_who_is_let_in_leaves_a_line(open_house: Open) -> None:
    stores = open_house({"read.ip": "100/100", "login.ip": "100/100"})
    for number in range(5):
        ask(stores, f"req-{number}", user="u_ann")
        knock(stores, Caller(IP, device="phone", request_id="r"), f"code-{number}")

    names = stores.keys.refusals, stores.keys.refusal_shares
    assert stores.redis.execute("EXISTS", *names) == 0


@pytest.mark.parametrize(
    ("device", "see"), [("phone", "risk/phone"), ("", "limits")], ids=["device", "ip"]
)
def test_a_lock_out_tells_whom_to_look_at(
    open_house: Open, database: Database, device: str, see: str
) -> None:
    stores = open_house({"login.ip": "100/100"})
    caller = Caller(IP, device=device, request_id="req-1")
    for _ in range(5):
        fail(stores, caller)
    with pytest.raises(Limited):
        knock(stores, caller, "code")

    (refused,) = told(stores, database, "req-1")
    assert (refused["reason"], refused["rule"]) == ("locked_out", "login.failures")
    assert 0 < refused["retry_after_ms"] <= 300_000
    assert refused["see"] == see


def test_a_dry_run_tells_what_it_would_have_done(
    open_house: Open, database: Database
) -> None:
    rules = {"read.ip": f"1/{SLOW}", "login.device": f"1/{SLOW}"}
    stores = open_house(rules, RATE_LIMITS_DRY_RUN="true")
    for _ in range(2):
        ask(stores, "req-1")
        knock(stores, Caller(IP, device="phone", request_id="req-2"), "code")

    for name, rule, see in (
        ("req-1", "read.ip", "limits"),
        ("req-2", "login.device", "risk/phone"),
    ):
        (would,) = told(stores, database, name)
        assert (would["what"], would["rule"]) == ("would be refused", rule)
        assert would["see"] == see


def test_a_flood_leaves_a_few_lines_and_those_of_others_stay(
    open_house: Open, database: Database
) -> None:
    rules = {"read.user": f"1/{SLOW}"}
    stores = open_house(rules)
    for name in ("req-1", "req-2"):
        ask(stores, name, user="u_ann")
    for number in range(300):
        ask(stores, f"flood-{number}", user="u_bot")

    assert lines(stores) == 21
    assert told(stores, database, "req-2")
    assert len(told(stores, database, "u_bot")) == 20
    assert 0 < stores.redis.execute("PTTL", stores.keys.refusal_shares) <= 60_000
    assert 0 < stores.redis.execute("PTTL", stores.keys.refusals) <= 172_800_000

    # A minute later it has its share again.
    stores.redis.execute("DEL", stores.keys.refusal_shares)
    ask(stores, "flood-later", user="u_bot")
    assert told(stores, database, "flood-later")


def test_many_who_flood_are_bounded_too(open_house: Open) -> None:
    stores = open_house({"read.user": f"1/{SLOW}"}, REFUSALS_KEPT="100")
    for number in range(60):
        for _ in range(11):
            ask(stores, "req", user=f"u_{number}")

    # Redis cuts whole nodes of a stream, of a hundred lines each.
    assert 100 <= lines(stores) <= 200
    newest = stores.refusals.find("req", 1000)
    assert newest[0].asked.user_id == "u_59"
    assert len(newest) == lines(stores)


def test_a_line_is_found_behind_a_thousand_others(
    open_house: Open, database: Database
) -> None:
    stores = open_house({"read.user": f"1/{SLOW}"})
    ask(stores, "old", user="u_1")
    ask(stores, "old", user="u_1")
    about = json.dumps(["other", "", "", "", "", ["read.ip"], False])
    line = ("*", "about", about, "what", "1", "wait", "5")
    stores.redis.execute_many(
        [("XADD", stores.keys.refusals, *line) for _ in range(2500)]
    )

    assert len(told(stores, database, "old")) == 1
    assert len(stores.refusals.find("other", 100)) == 100


def test_keeping_none_still_refuses_and_counts(open_house: Open) -> None:
    stores = open_house({"read.user": f"1/{SLOW}"}, REFUSALS_KEPT="0")
    for _ in range(3):
        ask(stores, "req-1", user="u_ann")

    assert stores.redis.execute("EXISTS", stores.keys.refusals) == 0
    assert [one.count for one in stores.limit_levels.list_refused(9)] == [2]


def test_without_redis_the_timeline_says_what_it_lacks(
    open_house: Open, database: Database
) -> None:
    cut = open_house({}, REDIS_URL=NOWHERE)
    service = TimelineService(database, cut.refusals)
    with database.unit_of_work() as work:
        row_id = work.enqueue("tasks.orders.confirm_order", "or_17")

    assert service.read("or_17").entries[0].id == row_id
    assert service.read("or_17").away == ["redis"]
    with pytest.raises(RedisUnavailable):
        service.read("nobody")


def test_any_refused_answer_is_explained_on_the_internal_listener(
    redis_url: str, database_url: str, database: Database, make_settings: Any
) -> None:
    settings = make_settings(
        REDIS_URL=redis_url,
        DATABASE_URL=database_url,
        RATE_LIMITS=json.dumps({"read.user": f"2/{SLOW}"}),
    )
    web = create_app(settings).test_client()
    ops = create_ops_app(settings).test_client()
    admin = settings.secrets.admin_token.get_secret_value()
    with closing(open_stores(settings)) as stores:
        service = SessionService(settings, stores, database)
        house = House(settings, stores, database, service, service, stores)
        tokens = {
            user: house.tokens(house.login(user)).access_token
            for user in ("u_ann", "u_banned", "u_odd")
        }
        stores.standings.put("u_banned", UserStanding(banned=True, number=1))
        stores.standings.put("u_odd", UserStanding(action="block", number=1))
    refused = {}
    for user, token in tokens.items():
        for number in range(3):
            headers = {
                "Authorization": f"Bearer {token}",
                "X-Request-Id": f"{user}-{number}",
            }
            answer = web.get("/api/v1/me", headers=headers)
            if answer.status_code != 200:
                refused[f"{user}-{number}"] = answer.get_json()["reason"]

    assert set(refused.values()) == {"rate_limited", "user_banned", "high_risk_user"}
    for name, reason in refused.items():
        path = f"/admin/v1/timeline/{name}"
        headers = {"Authorization": f"Bearer {admin}"}
        (entry,) = ops.get(path, headers=headers).get_json()["data"]["entries"]
        assert (entry["kind"], entry["id"]) == ("refusal", name)
        assert entry["detail"]["reason"] == reason
        assert entry["detail"]["route"] == "/api/v1/me"
