"""Who was asked to verify writes again once a phone is bound; nobody else does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from config.clock import Deadline
from models.base import database_now
from models.behaviour_figures import Subject
from models.risk_actions import settle_user
from models.risk_marks import write_override
from models.risk_overrides import Override
from models.standings import find_user_standing
from models.users import ensure_user
from tests.integration.private_house import NUMBER, OPENID

if TYPE_CHECKING:
    from models.standings import Action
    from tests.integration.private_house import PrivateHouse
    from web.services.caller import Claims

HOUR_MS = 3_600_000


def demand(private: PrivateHouse, me: Claims, action: Action) -> None:
    """Have an administrator demand ``action`` of the user."""
    with private.database.unit_of_work() as work:
        now = database_now(work.session)
        ensure_user(work.session, me.user_id, me.app_id, now)
        choice = Override(action=action, reason="looks odd")
        subject = Subject("user", me.user_id)
        write_override(work.session, subject, me.app_id, choice, (now, now + HOUR_MS))
        settle_user(work, me.user_id, private.settings.risk)


def copied_action(private: PrivateHouse, me: Claims) -> bytes | None:
    """Return the action that admission would see."""
    key = private.stores.keys.standing(me.user_id)
    found: bytes | None = private.stores.redis.execute("HGET", key, "action")
    return found


def action_of(private: PrivateHouse, me: Claims) -> Action:
    with private.database.read() as session:
        return find_user_standing(session, me.user_id).action


@pytest.mark.parametrize("way", ["code", "data"])
def test_a_bound_phone_ends_the_demand_at_once(private: PrivateHouse, way: str) -> None:
    me = private.join(OPENID, phone=NUMBER)
    demand(private, me, "verify")

    if way == "code":
        private.bind(me, private.phone_code(OPENID, NUMBER))
    else:
        data, _ = private.sealed(OPENID, "phone")
        private.phones.bind_by_data(me, data, Deadline.after_ms(9000))

    assert action_of(private, me) == "allow"
    # Seen by the next request, not only after the relay's next round.
    assert copied_action(private, me) == b""


@pytest.mark.parametrize("action", ["slow", "block"])
def test_a_phone_ends_nothing_else(private: PrivateHouse, action: Action) -> None:
    me = private.join(OPENID)
    demand(private, me, action)

    private.bind(me, private.phone_code(OPENID, NUMBER))

    assert action_of(private, me) == action
