"""Support's view of an account, bans and admin logouts, on each database."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import sqlalchemy as sa

from models.account_links import UserAlias, link_accounts
from models.audit import AuditEntry
from models.device_info import DeviceInfo
from models.errors import Conflict, NotFound, RedisUnavailable
from models.identities import IdentityRow
from models.logins import record_logins
from models.sealing import IdentityHasher
from models.standings import PUBLISH
from models.support_codes import support_code_of
from models.user_events import read_after
from tests.integration.failures import refused
from tests.integration.security_history import security_history
from tests.integration.session_house import APP, House, claims, late_login, open_pair
from web.services.account_finder import AccountFinder
from web.services.accounts import AccountService

if TYPE_CHECKING:
    from collections.abc import Iterator

    from config.settings import Settings
    from models.database import Database
    from models.stores.container import Stores

ONE, TWO = "u_" + "1" * 26, "u_" + "2" * 26


@pytest.fixture
def house(stores: Stores, settings: Settings, database: Database) -> Iterator[House]:
    with open_pair(settings, stores, database) as opened:
        yield opened


def desk_of(house: House, stores: Stores) -> AccountService:
    settings, database = house.settings, house.database
    finder = AccountFinder(settings, stores, database)
    return AccountService(settings, stores, database, finder)


@pytest.fixture
def desk(house: House) -> AccountService:
    return desk_of(house, house.stores)


@pytest.fixture
def without_redis(house: House) -> AccountService:
    return desk_of(house, house.cut)


def history(house: House, user_id: str = ONE) -> list[tuple[str, str | None]]:
    events = security_history(house.database, user_id)
    return [(event.kind, event.detail) for event in events]


def audit(house: House) -> list[tuple[str, str, str | None]]:
    with house.database.read() as session:
        rows = session.scalars(sa.select(AuditEntry).order_by(AuditEntry.id))
        return [(row.act, row.subject_id, row.detail) for row in rows]


def told(house: House, user_id: str = ONE) -> set[tuple[str, str]]:
    """Return session and reason of each ``session.revoked``."""
    with house.database.read() as session:
        events = read_after(session, user_id, 0, 100).events
    data = [json.loads(e.data) for e in events if e.type == "session.revoked"]
    return {(entry["session_id"], entry["reason"]) for entry in data}


# Who is meant


def know(house: House, openid: str, user_id: str | None = None) -> str:
    """Have SQL know a person of an app as enrichment writes it."""
    hasher = IdentityHasher(house.settings.secrets.id_key)
    (app,) = house.settings.wechat.apps
    user_id = user_id or hasher.user_id(app.app_id, openid)
    grant = house.login(user_id, enriched=False)
    entry = msgspec.structs.replace(late_login(grant), app_id=app.app_id)
    row = IdentityRow(user_id, app.app_id, hasher.look_up("openid", openid), b"x", "u")
    house.database.transact(
        lambda work: record_logins(work.session, [entry], lambda _: [row])
    )
    return user_id


def test_a_user_is_found_by_id_code_and_openid(
    house: House, desk: AccountService
) -> None:
    user_id = know(house, "openid-one")
    other = know(house, "openid-two", ONE)
    code = support_code_of(user_id)

    for name in (user_id, code, code.lower().replace("-", ""), "openid-one"):
        assert desk.read(name).user.id == user_id
    assert desk.read("openid-two").user.id == other
    assert desk.read(user_id).user.support_code == code


def test_an_alias_leads_to_its_user(house: House, desk: AccountService) -> None:
    know(house, "openid-one", ONE)
    with house.database.unit_of_work() as work:
        work.session.add(UserAlias(alias_id=TWO, user_id=ONE, app_id=APP, created_at=1))

    account = desk.read(TWO)
    assert (account.user.id, account.aliases) == (ONE, [TWO])


def test_a_code_of_two_users_names_neither(house: House, desk: AccountService) -> None:
    twin = ONE[:-1] + "2"
    for user_id in (ONE, twin):
        house.login(user_id)

    with pytest.raises(Conflict):
        desk.ban(support_code_of(ONE), "")
    assert audit(house) == []


@pytest.mark.parametrize("name", [TWO, "u_x", "oNobody", support_code_of(TWO), "x"])
def test_nobody_is_not_found(
    house: House, desk: AccountService, without_redis: AccountService, name: str
) -> None:
    house.login(ONE)

    for act in (desk.read, lambda n: desk.ban(n, ""), lambda n: desk.logout(n, "")):
        with pytest.raises(NotFound):
            act(name)
    if name != support_code_of(TWO):
        # Redis may know whom SQL does not know: nobody can say "not found" now.
        with pytest.raises(RedisUnavailable):
            without_redis.read(name)
    assert audit(house) == []


def test_the_view_tells_what_is_known_and_no_name_of_wechat(
    house: House, desk: AccountService
) -> None:
    know(house, "openid-one", ONE)
    grant = house.login(ONE, enriched=False)
    device = DeviceInfo(id="d", model="M")
    house.enrich(msgspec.structs.replace(late_login(grant), device=device))
    late = house.login(ONE, enriched=False)
    house.login(TWO)
    with house.database.unit_of_work() as work:
        link_accounts(work.session, ONE, TWO, "unionid")
    desk.unban(ONE, "nothing")

    account = desk.read(ONE)

    assert [one.has_unionid for one in account.identities] == [True]
    assert [one.device_id for one in account.devices] == ["d"]
    assert {grant.session_id, late.session_id} < {one.id for one in account.sessions}
    assert [(one.other_user_id, one.reason) for one in account.links] == [
        (TWO, "unionid")
    ]
    assert len(account.logins) == 2
    assert account.standing.banned_at is None
    text = msgspec.json.encode(account).decode()
    assert "openid-one" not in text
    assert (
        IdentityHasher(house.settings.secrets.id_key).look_up("openid", "openid-one")
        not in text
    )


# Acts


@pytest.mark.parametrize("enriched", [True, False], ids=["SQL knows", "SQL is late"])
@pytest.mark.parametrize("away", [False, True], ids=["Redis", "SQL alone"])
def test_a_ban_ends_everything_at_once_and_holds_after_a_wipe(
    house: House,
    desk: AccountService,
    without_redis: AccountService,
    *,
    enriched: bool,
    away: bool,
) -> None:
    known = house.login(ONE)
    other = house.login(ONE, enriched=enriched)
    stranger = house.login(TWO)
    acting = without_redis if away else desk

    done = acting.ban(ONE, "spam")

    assert (done.banned, done.epoch) == (True, 1)
    # Without Redis the one that SQL does not know is void by its epoch alone.
    assert done.revoked == (1 if away and not enriched else 2)
    for grant in (known, other):
        assert refused(partial(house.cut_off.confirm, claims(grant))) == "user_banned"
        if not away:
            assert house.admit(grant).session == "banned"
    house.enrich(late_login(other))
    house.wipe()
    for grant in (known, other):
        assert refused(partial(house.service.confirm, claims(grant))) == "user_banned"
        refresh = partial(house.refresh, house.tokens(grant))
        assert refused(refresh) == "user_banned"
    house.service.confirm(claims(stranger))
    assert house.asked_for(PUBLISH) == {ONE}
    assert (known.session_id, "banned") in told(house)
    assert told(house, TWO) == set()


def test_a_ban_can_be_lifted_and_old_sessions_stay_ended(
    house: House, desk: AccountService
) -> None:
    old = house.login(ONE)
    desk.ban(ONE, "spam")
    desk.ban(ONE, "again")
    done = desk.unban(ONE, "sorry")
    desk.unban(ONE, "")
    new = house.login(ONE)

    assert (done.banned, done.revoked) == (False, 0)
    assert refused(lambda: house.service.confirm(claims(old))) == "session_revoked"
    assert house.admit(old).session == "revoked"
    assert house.state(new.session_id) == "live"
    # Each act is audited; to the user only changes happened.
    assert audit(house) == [
        ("user.ban", ONE, "spam"),
        ("user.ban", ONE, "again"),
        ("user.unban", ONE, "sorry"),
        ("user.unban", ONE, None),
    ]
    assert history(house) == [("banned", "spam"), ("unbanned", "sorry")]


def test_an_admin_logout_ends_listed_and_lost_sessions(
    house: House, desk: AccountService
) -> None:
    listed, lost = house.login(ONE), house.login(ONE, enriched=False)
    house.forget(lost)

    done = desk.logout(ONE, "phone stolen")

    assert (done.banned, done.epoch, done.revoked) == (False, 1, 1)
    for grant in (listed, lost):
        assert refused(partial(house.service.confirm, claims(grant))) == (
            "session_revoked"
        )
    assert told(house) == {(listed.session_id, "admin")}
    assert history(house) == [("logged_out", "phone stolen")]
    assert house.stores.sessions.list_ids(ONE) == []


def test_an_act_by_openid_writes_it_nowhere(
    house: House, desk: AccountService, caplog: Any
) -> None:
    openid = "oQ-secret-openid-of-nobody-1"
    know(house, openid)

    desk.ban(openid, "spam")

    with house.database.engine.connect() as link:
        tables = sa.inspect(house.database.engine).get_table_names()
        texts = [
            repr(link.execute(sa.text(f"SELECT * FROM {name}")).all())  # noqa: S608 -- names of our own tables
            for name in tables
        ]
    assert not any(openid in text for text in texts)
    assert openid not in caplog.text
