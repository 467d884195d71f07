"""The call that turns a phone button's code into a number, once for each code.

WeChat bills every success. So the call is reserved in SQL before it is made, one caller
among all processes makes it, and its end is written in the commit that uses the number.
It goes on without a caller who has no time for it: the code sent again meets its end.
What is not known counts as spent. `models/paid_calls.py` is the ledger.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from config.clock import Deadline
from config.metrics.paid_calls import PAID_CALLS, PAID_CAP, PAID_FEN, PAID_REFUSED
from config.patience import under, unhurried
from models.errors import (
    Conflict,
    DatabaseUnavailable,
    KuaidaError,
    Limited,
    LoginCodeInvalid,
    Upstream,
)
from models.openids import OpenIds
from models.paid_calls import Caps, Wanted, find_call, reservation, settle_call
from models.sealing import IdentityHasher
from models.single_flight import SingleFlight
from models.waiting import wait_for
from web.services.code_flight import Course, Courses, outlast
from web.services.wechat_faults import translated
from wechat.errors import CodeInvalid, UserState, WeChatError, WeChatRefused

if TYPE_CHECKING:
    from collections.abc import Callable

    from config.settings import Settings
    from models.database import Database, UnitOfWork
    from models.idempotency import Once
    from models.paid_calls import CallView, State
    from models.stores.container import Stores
    from web.services.caller import Claims
    from wechat.answers import PhoneNumber
    from wechat.gateway import Gateway

KIND = "phone"
# Callers that wait for another process's call look for its end this often.
POLL_S = 0.05
# Time kept back from WeChat so that the number can still be written.
RESERVE_S = 0.5
RESERVE_SHARE = 0.2
# With less time than this left a caller does not try after another one.
WORTHWHILE_S = 0.5


class Use(NamedTuple):
    """What is done with a number: in the commit of its price, and after it."""

    bind: Callable[[UnitOfWork, PhoneNumber], bool]
    tell: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: whose code, what is done with the number, where its flight is."""

    claims: Claims
    code: str = field(repr=False)
    use: Use
    once: Once | None
    wanted: Wanted
    course: Course


class Landed(NamedTuple):
    """The end of a call that somebody else made; None when it may be made again."""

    call: CallView | None


class PhoneCalls:
    """Makes the billed calls of this process, within the caps."""

    def __init__(
        self, settings: Settings, stores: Stores, database: Database, gateway: Gateway
    ) -> None:
        self._private = settings.private
        PAID_CAP.set(settings.private.phone_monthly_cap_fen)
        self._database = database
        self._gateway = gateway
        self._hasher = IdentityHasher(settings.secrets.id_key)
        self._openids = OpenIds(settings.secrets, database, stores.wechat_keys)
        self._flights: SingleFlight[None] = SingleFlight()
        self._courses = Courses()
        self._patience_s = settings.wechat.login_patience_s

    def run(
        self,
        claims: Claims,
        code: str,
        deadline: Deadline,
        use: Use,
        once: Once | None,
    ) -> None:
        """Get the number behind ``code`` and bind it, in one commit with its price.

        Who sends the same code again joins, or meets what became of it. ``use.bind``
        says False when another account has the number: `Conflict`. The other errors
        are those of `PhoneService.bind_by_code`.
        """
        wanted = self._wanted(claims, code)
        course = self._courses.of(wanted.flight)
        asked = Asked(claims, code, use, once, wanted, course)
        outlast(
            lambda until: self._join(asked, until), deadline, self._patience_s, course
        )

    def _join(self, asked: Asked, until: Deadline) -> None:
        try:
            with under(until):
                self._flights.run(asked.wanted.flight, lambda: self._fly(asked, until))
        except TimeoutError:
            raise Upstream(reason="wechat_timeout") from None

    def _wanted(self, claims: Claims, code: str) -> Wanted:
        private = self._private
        return Wanted(
            claims.app_id,
            claims.user_id,
            KIND,
            private.phone_cost_fen,
            # The code is a credential: SQL knows it by its keyed hash. With the user,
            # so that nobody can use up a code in another one's place.
            self._hasher.look_up("phone_code", f"{claims.user_id}:{code}"),
            Caps(private.phone_monthly_cap_fen, private.phone_user_daily),
        )

    def _fly(self, asked: Asked, until: Deadline) -> None:
        openid = self._openids.find(asked.claims.app_id, asked.claims.user_id)
        if openid is None:
            raise Conflict(reason="session_key_stale")
        while True:
            call = self._reserve(asked)
            if call.leads:
                return self._lead(asked, call, openid, until)
            with asked.course.at_wechat():
                landed = wait_for(
                    lambda: self._landed(asked),
                    seconds=until.remaining_s(),
                    every_s=POLL_S,
                )
            if landed is not None and landed.call is not None:
                return _raise_refusal(landed.call.refusal)
            if landed is None or until.remaining_s() < WORTHWHILE_S:
                raise Upstream(reason="wechat_timeout")

    def _reserve(self, asked: Asked) -> CallView:
        """Reserve the call, or find the one with this code, before anything is spent.

        An Idempotency-Key is claimed in the same commit; its answer comes later.
        """
        later = reservation(asked.wanted, asked.claims.opened_at)
        try:
            return self._database.transact(
                lambda work: later.again(work.session, ""), asked.once, later
            )
        except Limited:
            PAID_REFUSED.labels(KIND).inc()
            raise

    def _landed(self, asked: Asked) -> Landed | None:
        with self._database.read() as session:
            call = find_call(session, asked.wanted.flight)
        return None if call is not None and call.state == "reserved" else Landed(call)

    def _lead(self, asked: Asked, call: CallView, openid: str, until: Deadline) -> None:
        client = self._gateway.client(asked.claims.app_id)
        deadline = until.with_reserve(RESERVE_S, RESERVE_SHARE)
        try:
            with asked.course.at_wechat():
                number = client.phone_number(asked.code, openid, deadline=deadline)
        except WeChatError as error:
            raise self._failed(call, error) from error
        # It is paid for: number and price are written however impatient the client is.
        with unhurried():
            bound = self._database.transact(
                lambda work: self._charge(work, call, number, asked.use)
            )
            if bound:
                asked.use.tell()
        if not bound:
            raise Conflict

    def _charge(
        self, work: UnitOfWork, call: CallView, number: PhoneNumber, use: Use
    ) -> bool:
        bound = use.bind(work, number)
        refusal = None if bound else Conflict.reason
        settle_call(work.session, call.id, "charged", refusal=refusal)
        self._count("charged")
        return bound

    def _failed(self, call: CallView, error: WeChatError) -> KuaidaError:
        """Write down a call that gave no number, and return what its caller is told."""
        free = isinstance(error, WeChatRefused) or not error.sent
        state: State = "free" if free else "unknown"
        # Of another user's code WeChat says that code and openid do not fit (40003).
        final = isinstance(error, CodeInvalid | UserState)
        told = LoginCodeInvalid() if final else translated(error)
        with unhurried(), suppress(DatabaseUnavailable):
            # Else the reservation stays, and becomes unknown when its time is over.
            self._database.transact(
                lambda work: settle_call(
                    work.session,
                    call.id,
                    state,
                    refusal=told.reason if final else None,
                    again=not final,
                )
            )
        self._count(state)
        return told

    def _count(self, state: str) -> None:
        PAID_CALLS.labels(KIND, state).inc()
        if state != "free":
            PAID_FEN.labels(KIND).inc(self._private.phone_cost_fen)


def _raise_refusal(reason: str | None) -> None:
    """Raise what the call of this code ended with; nothing when its number is bound."""
    if reason == LoginCodeInvalid.reason:
        raise LoginCodeInvalid
    if reason == Conflict.reason:
        raise Conflict
