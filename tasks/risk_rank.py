"""WeChat's opinion of users in the grey zone: asked seldom, kept long, never needed.

Whatever goes wrong, the decision stands on our own findings alone, and it is counted.
"""

from __future__ import annotations

from typing import NamedTuple

from config.clock import Deadline
from config.logging import get_logger
from config.metrics.risk import RISK_RANKS
from models.base import database_now
from models.errors import Unavailable
from models.login_places import find_address
from models.openids import OpenIds
from models.risk_marks import keep_rank
from models.sealing import Unsealable
from tasks.app import Resources
from tasks.failures import cause_of
from wechat.client import RiskQuestion
from wechat.errors import (
    ConfigError,
    PathClosed,
    RateDay,
    UserState,
    WeChatError,
    WeChatRefused,
)

# All questions of a run together; the task's own limit is 45 s.
RUN_S = 15.0
# Refused again, whenever asked: the user is left alone for as long as a rank lives.
LASTING = (UserState, ConfigError, RateDay)
# After these the other users of the app would be refused as well.
HOPELESS = (PathClosed, ConfigError, RateDay)

log = get_logger(__name__)


class Grey(NamedTuple):
    """A user of whom WeChat's opinion would help."""

    user_id: str
    app_id: str


def ask_wechat(house: Resources, grey: list[Grey]) -> list[str]:
    """Ask about as many as a run may; return the users whose marks changed by it."""
    until = Deadline.after_ms(RUN_S * 1000)
    given_up: set[str] = set()
    asked: list[str] = []
    for user_id, app_id in grey[: house.settings.risk.rank_calls]:
        if until.expired:
            break
        if app_id in given_up or app_id not in house.gateway.app_ids:
            continue
        try:
            rank = _ask(house, user_id, app_id)
        except WeChatError as error:
            RISK_RANKS.labels(_outcome(error)).inc()
            log.warning("no risk rank", app_id=app_id, cause=cause_of(error))
            if isinstance(error, HOPELESS):
                given_up.add(app_id)
            if not isinstance(error, LASTING):
                continue
            rank = None
        except (Unavailable, Unsealable) as error:
            RISK_RANKS.labels("failed").inc()
            log.warning("no risk rank", app_id=app_id, cause=cause_of(error))
            continue
        _keep(house, user_id, rank)
        asked.append(user_id)
    return asked


def _ask(house: Resources, user_id: str, app_id: str) -> int | None:
    """Return the rank; None of a user whose openid or address nobody knows."""
    openids = OpenIds(house.settings.secrets, house.database, house.stores.wechat_keys)
    openid = openids.find(app_id, user_id)
    with house.database.read() as session:
        address = find_address(session, user_id)
    if openid is None or address is None:
        RISK_RANKS.labels("unknown_user").inc()
        return None
    question = RiskQuestion(openid, address, trial=not house.settings.production)
    deadline = Deadline.after_ms(house.settings.risk.rank_call_s * 1000)
    rank = house.gateway.client(app_id).risk_rank(question, deadline=deadline)
    RISK_RANKS.labels(str(rank)).inc()
    return rank


def _keep(house: Resources, user_id: str, rank: int | None) -> None:
    with house.database.unit_of_work() as work:
        keep_rank(work.session, user_id, rank, database_now(work.session))


def _outcome(error: WeChatError) -> str:
    return "refused" if isinstance(error, WeChatRefused) else "failed"
