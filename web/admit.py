"""Admission as a request meets it: limits, its session, and what its user may do.

`web/dispatch.py` asks here before it reads a body; the stores answer in one round trip.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from models.errors import (
    Forbidden,
    Limited,
    NotFound,
    RedisUnavailable,
    Unauthenticated,
)
from models.stores.admission import Admission
from models.stores.admission import Caller as LimitCaller
from models.stores.refusals import Asked
from models.stores.steps import Step
from web.routes import Limit
from web.services.misses import Misses

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.errors import KuaidaError
    from web.routes import Call, Route
    from web.services.caller import Claims
    from web.services.roster import Services
    from web.visit import Visit

# How we stand to a person; the limits keep their own refusals as they make them.
KEPT: Final = frozenset(
    "user_banned high_risk_user verification_required "
    "session_revoked refresh_reused".split()
)


class Admitter:
    """Lets requests in, and notes what they found."""

    def __init__(self, services: Callable[[], Services]) -> None:
        self._services = services
        self._misses = Misses()

    def admit(self, route: Route, visit: Visit, identity: Claims | None) -> None:
        """Pass, or raise `Limited`, `Unauthenticated` or `Forbidden`."""
        try:
            admitted = self._ask(route, visit, identity)
        except Limited as refused:
            visit.show_quota(refused.quota)
            raise
        visit.show_quota(admitted.quota)
        if identity is None:
            return
        state, action = admitted.session, admitted.action
        if state == "banned":
            raise Forbidden(reason="user_banned")
        if state == "revoked":
            raise Unauthenticated(reason="session_revoked")
        if state == "doubtful":
            self._services().sessions.recheck(identity)
        elif state != "live":
            action = self._services().sessions.confirm(identity)
        _obey(action, route)

    def note(self, visit: Visit, error: KuaidaError) -> None:
        """Keep a refusal behind the limits, for who asks the timeline of its request.

        One more round trip, for the refused only. Redis away: the log alone tells it.
        """
        if error.reason not in KEPT:
            return
        user_id = visit.user_id or error.user_id
        names = visit.request_id, user_id, visit.device_id, visit.app_id
        asked, whose = Asked(*names, visit.route), user_id or visit.ip
        with suppress(RedisUnavailable):
            self._services().refusals.note(asked, error.reason, whose)

    def counting_misses(self, route: Route) -> Callable[..., object]:
        """Return the route's handler, noting `not_found` where ids can be guessed.

        The user's next request carries the count.
        """
        handler = route.handler
        if "<" not in route.path:
            return handler

        def handle(call: Call, *arguments: object, **path: str) -> object:
            try:
                return handler(call, *arguments, **path)
            except NotFound:
                self._misses.note(call.visit.user_id)
                raise

        return handle

    def _ask(self, route: Route, visit: Visit, identity: Claims | None) -> Admission:
        services, limit = self._services(), route.spec.limit.value
        names = visit.user_id, visit.device_id, visit.app_id
        asked = LimitCaller(visit.ip, *names, visit.request_id)
        misses = self._misses.take(visit.user_id)
        try:
            return services.admission.admit_request(
                limit,
                asked,
                session_id=identity.session_id if identity else "",
                epoch=identity.epoch if identity else 0,
                step=Step(route.path, not route.waits, misses),
            )
        except RedisUnavailable:
            # This process counts alone, and SQL must be asked for the session.
            quota = services.local_buckets.admit(limit, asked)
            return Admission(session="unknown", quota=quota)


def _obey(action: str, route: Route) -> None:
    """Refuse what the rules forbid this user; `slow` is done by the bucket itself."""
    if action == "block":
        raise Forbidden(reason="high_risk_user")
    writes = route.spec.limit is Limit.WRITE and not route.spec.unverified
    if action == "verify" and writes:
        raise Forbidden(reason="verification_required")
