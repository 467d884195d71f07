"""Why the rules do what they do to somebody, and an administrator's say over them.

Raises `DatabaseUnavailable` when SQL is away; without Redis the answers lack what only
Redis knows and say so. Acts are written down in the commit that has their effect.
"""

from __future__ import annotations

from contextlib import suppress
from ipaddress import ip_network
from typing import TYPE_CHECKING, Final, NamedTuple

from config.clock import MS_PER_S
from models.audit import record_act
from models.base import database_now
from models.behaviour_figures import Subject
from models.errors import FieldFault, InvalidInput, NotFound, RedisUnavailable
from models.login_places import list_places
from models.risk_actions import clear_user, settle_user
from models.risk_facts import (
    MOST_PLACES,
    decide_on,
    find_subject,
    limited_facts,
    read_facts,
)
from models.risk_marks import clear_marks, write_override
from models.risk_overrides import Override
from models.standings import find_user_standing
from models.users import ensure_user
from web.services.risk_explained import explain
from web.services.risk_shapes import LimitRule, LimitsView, RiskChanged

if TYPE_CHECKING:
    from config.settings import Settings
    from models.database import Database, UnitOfWork
    from models.idempotency import Once
    from models.risk_facts import RiskFacts
    from models.session_ends import Owner
    from models.standings import Action
    from models.stores.container import Stores
    from web.services.account_finder import AccountFinder
    from web.services.risk_shapes import RiskView

# A device is a client's word: it is on the watch list (slow) or not.
DEVICE_ACTIONS: Final = ("allow", "slow")


class Choice(NamedTuple):
    """What an administrator wants to be done, for how long, and why."""

    action: Action
    seconds: int
    reason: str


class Named(NamedTuple):
    """The id that a name means, and whose user it is if SQL did not know the name."""

    id: str
    owner: Owner | None = None


class RiskDesk:
    """Explanations and acts for people on the internal listener."""

    def __init__(
        self,
        settings: Settings,
        stores: Stores,
        database: Database,
        finder: AccountFinder,
    ) -> None:
        self._settings = settings
        self._stores = stores
        self._database = database
        self._finder = finder

    def explain(self, name: str) -> RiskView:
        """Return everything about a user, device or address.

        Raises `NotFound` for whom neither SQL nor the limits know, `RedisUnavailable`
        when SQL does not and Redis cannot be asked.
        """
        facts = self._facts(self._named(name))
        return explain(facts, self._stores, self._settings.risk)

    def clear(self, name: str, reason: str, once: Once | None = None) -> RiskChanged:
        """Void all marks of a user or device, and its lock-outs; audited.

        Also the lock-outs of an address, and of a device that never got in. Raises
        what `explain` raises.
        """
        named = self._named(name)

        def act(work: UnitOfWork) -> RiskChanged:
            found = _find(work, named)
            subject = found[0] if found else self._limited(named.id)
            now = database_now(work.session)
            record_act(work.session, "risk.clear", subject.id, detail=reason)
            if subject.kind == "user":
                cleared = clear_user(work, subject.id, "admin", self._settings.risk)
            else:
                cleared = clear_marks(work.session, subject, "admin", now)
            return self._changed(work, subject, cleared)

        changed = self._database.transact(act, once)
        self._follow(changed)
        with suppress(RedisUnavailable):
            self._lift(Subject(changed.kind, changed.id))
        return changed

    def _lift(self, subject: Subject) -> None:
        with self._database.read() as session:
            places = list_places(session, subject, MOST_PLACES)
        levels = self._stores.limit_levels
        levels.lift_lock_outs([*places, *levels.list_failing(subject.id)])

    def override(
        self, name: str, choice: Choice, once: Once | None = None
    ) -> RiskChanged:
        """Put an action over whatever the rules find, for a time; audited.

        Raises `NotFound`, also for whom the limits alone know, and `InvalidInput` for
        an action that a device cannot have.
        """
        named = self._named(name)

        def act(work: UnitOfWork) -> RiskChanged:
            found = _find(work, named)
            if found is None:
                raise NotFound
            subject, app_id = found
            if subject.kind == "device" and choice.action not in DEVICE_ACTIONS:
                raise _no_action_of_a_device(choice.action)
            now = database_now(work.session)
            times = now, now + choice.seconds * MS_PER_S
            words = f"{choice.action} for {choice.seconds} s: {choice.reason}"
            record_act(work.session, "risk.override", subject.id, detail=words)
            override = Override(choice.action, choice.reason)
            write_override(work.session, subject, app_id, override, times)
            work.session.flush()
            if subject.kind == "user":
                settle_user(work, subject.id, self._settings.risk)
            return self._changed(work, subject, 0)

        changed = self._database.transact(act, once)
        self._follow(changed)
        return changed

    def limits(self, most: int) -> LimitsView:
        """Return the limits in force, and up to ``most`` of whom they refuse."""
        limits, away = self._settings.limits, []
        refused = []
        try:
            refused = self._stores.limit_levels.list_refused(most)
        except RedisUnavailable:
            away.append("redis")
        return LimitsView(
            enabled=limits.enabled,
            dry_run=limits.dry_run,
            rules=[
                LimitRule(name, rule.burst, rule.refill_per_s)
                for name, rule in sorted(limits.rules.items())
            ],
            login_failures=limits.login_failures.count,
            lock_s=limits.login_failures.lock_s,
            refused=refused,
            away=away,
        )

    def _facts(self, named: Named) -> RiskFacts:
        with self._database.read() as session:
            facts = read_facts(session, named.id, self._settings.risk)
            session.expunge_all()
        if facts is not None:
            return facts
        owner = named.owner
        subject = Subject("user", named.id) if owner else self._limited(named.id)
        with self._database.read() as session:
            return limited_facts(session, subject, owner.app_id if owner else "")

    def _named(self, name: str) -> Named:
        """Return whom is meant, by an openid or support code too.

        Raises `RedisUnavailable` when it may be a user SQL does not know yet.
        """
        with self._database.read() as session:
            known = find_subject(session, name) is not None
        if not known and not _is_address(name):
            with suppress(NotFound):
                owner = self._finder.find(name)
                return Named(owner.user_id, owner)
        return Named(name)

    def _limited(self, name: str) -> Subject:
        """Return the address, or the device that the limits count something against."""
        if _is_address(name):
            return Subject("ip", name)
        subject = Subject("device", name)
        levels = self._stores.limit_levels
        touched = any(one.level < one.burst for one in levels.list_levels(subject, {}))
        if not touched and not levels.list_lock_outs(levels.list_failing(name)):
            raise NotFound
        return subject

    def _changed(self, work: UnitOfWork, subject: Subject, cleared: int) -> RiskChanged:
        if subject.kind == "user":
            standing = find_user_standing(work.session, subject.id)
            decision = decide_on(work.session, subject, self._settings.risk)
            action = standing.action_at(database_now(work.session))
            until = decision.until if action == "allow" else standing.action_until
        else:
            decision = decide_on(work.session, subject, self._settings.risk)
            action, until = decision.action, decision.until
        return RiskChanged(subject.id, subject.kind, action, until, cleared)

    def _follow(self, changed: RiskChanged) -> None:
        """Have Redis follow at once; else the outbox or the next run sees to it."""
        stores = self._stores
        with suppress(RedisUnavailable), self._database.read() as session:
            if changed.kind == "user":
                standing = find_user_standing(session, changed.id)
                stores.standings.put(changed.id, standing)
            elif changed.action == "allow" or changed.action_until is None:
                stores.behaviour.unwatch(changed.id)
            else:
                life_ms = changed.action_until - database_now(session)
                stores.behaviour.watch({changed.id: life_ms})


def _no_action_of_a_device(action: Action) -> InvalidInput:
    words = f"a device can only be given {' or '.join(DEVICE_ACTIONS)}"
    fault = FieldFault("action", "not_for_devices", words)
    return InvalidInput(f"{action} for a device", faults=(fault,))


def _is_address(name: str) -> bool:
    with suppress(ValueError):
        return bool(ip_network(name))
    return False


def _find(work: UnitOfWork, named: Named) -> tuple[Subject, str] | None:
    """Return the subject and its app, with a row for a user who has none yet."""
    if named.owner is not None:
        ensure_user(work.session, *named.owner, database_now(work.session))
    return find_subject(work.session, named.id)
