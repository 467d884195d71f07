"""Small real implementations of the seams under the views: everything in memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import msgspec

from models.errors import NotFound
from models.idempotency import KeptAnswer, Once, encode_answer
from models.notifications import NotificationView
from models.operations import OperationView
from models.quota import Quota
from models.stores.admission import Admission
from models.stores.steps import NO_STEP
from models.users import Profile
from tests.unit.web.private_seams import MemoryOpenData, MemoryPhones
from tests.unit.web.risk_seams import MemoryRefusals, MemoryRisk
from tests.unit.web.support_seams import (
    MemoryAccounts,
    MemoryOutbox,
    Pages,
    memory_support,
)
from web.services.event_follower import EventView
from web.services.events import HEARTBEAT, EventPage
from web.services.idempotency import Told
from web.services.local_buckets import LocalBuckets
from web.services.login_answer import Enrichment, LoginAnswer
from web.services.login_attempt import LoginRequest
from web.services.operations import OperationAnswer
from web.services.result_files import FileFacts, ResultFile
from web.services.roster import Services
from web.services.session_end import Revoked
from web.services.session_shapes import DeviceView, SessionPage, SessionView
from web.services.tokens import Grant, TokenSigner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from config.clock import Deadline
    from config.settings import Settings
    from models.device_info import DeviceInfo
    from models.standings import Action
    from models.stores.admission import Caller as LimitCaller
    from models.stores.steps import Step
    from web.services.caller import Caller, Claims
    from web.services.event_follower import Wish
    from web.services.notification_request import NewNotification
    from web.services.sessions import Scope
    from web.services.tokens import Tokens

ADMITTED = Admission("live", quota=Quota(5, 4, 1))
GRANT = Grant("se_one", "u_one", "wxdemo0000000001", 1, 0, 0, 0, "secret")


def grant_at(issued_at: int, **changes: Any) -> Grant:
    """Return the grant of a session opened and signed at that time."""
    now = {"issued_at": issued_at, "opened_at": issued_at}
    return msgspec.structs.replace(GRANT, **now | changes)


@dataclass
class MemoryAdmission:
    """Admits all, unless told to fail; remembers who asked."""

    error: Exception | None = None
    admission: Admission = ADMITTED
    asked: list[tuple[str, LimitCaller, str]] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    def admit_request(
        self,
        limit_class: str,
        caller: LimitCaller,
        *,
        session_id: str = "",
        epoch: int = 0,
        step: Step = NO_STEP,
    ) -> Admission:
        self.asked.append((limit_class, caller, session_id))
        self.epochs.append(epoch)
        self.steps.append(step)
        if self.error is not None:
            raise self.error
        return self.admission


@dataclass
class MemorySessions:
    """Answers every login and refresh for the same user; remembers what was asked."""

    signer: TokenSigner
    issued_at: int
    error: Exception | None = None
    action: Action = "allow"
    confirmed: list[Claims] = field(default_factory=list)
    rechecked: list[Claims] = field(default_factory=list)
    logins: list[tuple[LoginRequest, Caller]] = field(default_factory=list)
    ended: list[tuple[str, Scope]] = field(default_factory=list)

    def tokens(self) -> Tokens:
        return self.signer.sign(grant_at(self.issued_at))

    def login(self, request: LoginRequest, caller: Caller) -> LoginAnswer:
        self._maybe_fail()
        self.logins.append((request, caller))
        made = self.tokens()
        return LoginAnswer(
            access_token=made.access_token,
            expires_in=made.expires_in,
            refresh_in=made.refresh_in,
            refresh_token=made.refresh_token,
            refresh_expires_in=made.refresh_expires_in,
            session_id=made.session_id,
            token_type=made.token_type,
            app_id=GRANT.app_id,
            user_id=GRANT.user_id,
            user=Profile(id=GRANT.user_id),
            enrichment=Enrichment(),
            is_new=None,
        )

    def refresh(self, _token: str, _caller: Caller, /) -> Tokens:
        self._maybe_fail()
        return self.tokens()

    def logout(
        self, claims: Claims, scope: Scope, _once: Once | None = None, /
    ) -> Revoked:
        self.ended.append((claims.session_id, scope))
        return Revoked(1)

    def confirm(self, claims: Claims) -> Action:
        self._maybe_fail()
        self.confirmed.append(claims)
        return self.action

    def placed(self, claims: Claims) -> Claims:
        self._maybe_fail()
        return replace(claims, app_id=GRANT.app_id)

    def recheck(self, claims: Claims) -> None:
        self._maybe_fail()
        self.rechecked.append(claims)

    def _maybe_fail(self) -> None:
        if self.error is not None:
            raise self.error


@dataclass
class MemoryGuests:
    """Lets everybody in as the one user there is; remembers who came."""

    sessions: MemorySessions
    entered: list[tuple[str | None, DeviceInfo | None]] = field(default_factory=list)

    def enter(
        self, app_id: str | None, device: DeviceInfo | None, caller: Caller
    ) -> LoginAnswer:
        self.entered.append((app_id, device))
        return self.sessions.login(LoginRequest(""), caller)


@dataclass
class MemoryMySessions:
    """The caller's own session and no other; remembers what was asked."""

    asked: list[tuple[object, ...]] = field(default_factory=list)

    def page(self, claims: Claims, cursor: str | None, limit: int) -> SessionPage:
        self.asked.append((cursor, limit))
        device = DeviceView("phone", "M", None, None, None)
        own = SessionView(claims.session_id, device, None, 1, 2, current=True)
        return SessionPage([own], f"1.{claims.session_id}", has_more=True)

    def end_one(
        self, claims: Claims, session_id: str, _once: Once | None = None, /
    ) -> Revoked:
        self.asked.append((session_id,))
        if session_id != claims.session_id:
            raise NotFound
        return Revoked(1)


@dataclass
class MemoryProfiles:
    """One profile in a dictionary."""

    fields: dict[str, Any] = field(default_factory=dict)

    def get(self, claims: Claims) -> Profile:
        return Profile(id=claims.user_id, **self.fields)

    def update(
        self,
        claims: Claims,
        changes: Mapping[str, object],
        _once: Once | None = None,
        /,
    ) -> Profile:
        self.fields.update(changes)
        return self.get(claims)


@dataclass
class MemoryAnswers:
    """Answers everything once; remembers under which keys it was asked."""

    asked: list[Once] = field(default_factory=list)
    kept: dict[tuple[str, ...], KeptAnswer] = field(default_factory=dict)

    def answer(self, once: Once, produce: Callable[[], object]) -> Told:
        self.asked.append(once)
        if once.flight in self.kept:
            return Told(self.kept[once.flight], replayed=True)
        kept = self.kept[once.flight] = KeptAnswer(encode_answer(produce()))
        return Told(kept, replayed=False)

    def repeat(self, once: Once) -> KeptAnswer | None:
        asked = [first for first in self.asked if first.token_id == once.token_id]
        return self.kept.get(once.flight) if asked else None


@dataclass
class MemoryNotifications:
    """Keeps what it accepted; knows one message, named ``nt_1``."""

    accepted: list[NewNotification] = field(default_factory=list)
    state: str = "created"

    def accept(
        self, wanted: NewNotification, _once: Once | None = None, /
    ) -> NotificationView:
        self.accepted.append(wanted)
        return self.get("nt_1")

    def get(self, notification_id: str) -> NotificationView:
        if notification_id != "nt_1":
            raise NotFound
        asked = ("user_id", "template_key", "page", "dedupe_key", "send_at")
        known = {name: getattr(self.accepted[0], name) for name in asked}
        unknown = dict.fromkeys(NotificationView.__struct_fields__)
        told = {"id": "nt_1", "state": self.state, "attempts": []}
        return NotificationView(**{**unknown, **known, **told})

    def cancel(
        self, notification_id: str, _once: Once | None = None, /
    ) -> NotificationView:
        self.state = "cancelled"
        return self.get(notification_id)

    def retry(
        self, notification_id: str, _once: Once | None = None, /
    ) -> NotificationView:
        self.state = "created"
        return self.get(notification_id)


class MemoryFeed:
    """A stream of given lines that remembers whether it was closed."""

    def __init__(self, lines: Sequence[bytes], cursor: str) -> None:
        self.lines = lines
        self.cursor = cursor
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.lines)

    def close(self) -> None:
        self.closed += 1


@dataclass
class MemoryEvents:
    """One event for everybody; remembers who asked for what."""

    error: Exception | None = None
    asked: list[tuple[Wish, int | None]] = field(default_factory=list)
    feeds: list[MemoryFeed] = field(default_factory=list)
    patience: list[Deadline | None] = field(default_factory=list)

    def poll(
        self, wish: Wish, wait_ms: int, patience: Deadline | None = None
    ) -> EventPage:
        self._ask(wish, wait_ms)
        self.patience.append(patience)
        data = msgspec.Raw('{"city": "深圳"}')
        return EventPage([EventView("5", "profile.updated", 1000, data)], "5")

    def stream(self, wish: Wish) -> MemoryFeed:
        self._ask(wish, None)
        event = b'{"id": "5", "type": "profile.updated", "at": 1000, "data": {}}\n'
        self.feeds.append(MemoryFeed([event, HEARTBEAT], "4"))
        return self.feeds[-1]

    def _ask(self, wish: Wish, wait_ms: int | None) -> None:
        self.asked.append((wish, wait_ms))
        if self.error is not None:
            raise self.error


@dataclass
class MemoryOperations:
    """One running operation and one finished one with a file, of one user."""

    error: Exception | None = None
    asked: list[tuple[object, ...]] = field(default_factory=list)

    def get(
        self, claims: Claims, operation_id: str, wait_ms: int, deadline: Deadline
    ) -> OperationAnswer:
        self.asked.append((operation_id, wait_ms, deadline))
        return self._answer(claims, operation_id, "running")

    def cancel(
        self, claims: Claims, operation_id: str, once: Once | None = None
    ) -> OperationAnswer:
        self.asked.append((operation_id, once))
        return self._answer(claims, operation_id, "cancelled")

    def start(self, claims: Claims) -> OperationView:
        return self._answer(claims, "op_1", "accepted").operation

    def open(self, claims: Claims, operation_id: str) -> ResultFile:
        self._answer(claims, operation_id, "succeeded")
        facts = FileFacts("a.json", 12, "", "application/json", "", 0)
        return ResultFile(facts, iter([b'{"format"', b":1}"]))

    def _answer(self, claims: Claims, operation_id: str, state: str) -> OperationAnswer:
        if self.error is not None:
            raise self.error
        if (operation_id, claims.user_id) != ("op_1", GRANT.user_id):
            raise NotFound
        seen = OperationView("op_1", "export", state, 7, 900, None, None, 1, 2)
        return OperationAnswer(seen)


@dataclass
class House:
    """The seams of one app under test, each within reach of the test."""

    admission: MemoryAdmission
    sessions: MemorySessions
    profiles: MemoryProfiles
    local_buckets: LocalBuckets
    answers: MemoryAnswers
    guests: MemoryGuests
    refusals: MemoryRefusals = field(default_factory=MemoryRefusals)
    open_data: MemoryOpenData = field(default_factory=MemoryOpenData)
    phones: MemoryPhones = field(default_factory=MemoryPhones)
    events: MemoryEvents = field(default_factory=MemoryEvents)
    my_sessions: MemoryMySessions = field(default_factory=MemoryMySessions)
    accounts: MemoryAccounts = field(default_factory=MemoryAccounts)
    outbox: MemoryOutbox = field(default_factory=MemoryOutbox)
    risk: MemoryRisk = field(default_factory=MemoryRisk)
    pages: Pages = field(default_factory=list)
    notifications: MemoryNotifications = field(default_factory=MemoryNotifications)
    operations: MemoryOperations = field(default_factory=MemoryOperations)

    def services(self) -> Services:
        return Services(
            admission=self.admission,
            refusals=self.refusals,
            local_buckets=self.local_buckets,
            login=self.sessions,
            guests=self.guests,
            sessions=self.sessions,
            my_sessions=self.my_sessions,
            profiles=self.profiles,
            open_data=self.open_data,
            phones=self.phones,
            events=self.events,
            support=memory_support(self.outbox, self.accounts, self.risk, self.pages),
            answers=self.answers,
            notifications=self.notifications,
            operations=self.operations,
            exports=self.operations,
            files=self.operations,
        )


def new_house(settings: Settings, issued_at: int) -> House:
    sessions = MemorySessions(TokenSigner(settings), issued_at)
    return House(
        admission=MemoryAdmission(),
        sessions=sessions,
        profiles=MemoryProfiles(),
        local_buckets=LocalBuckets(settings.limits),
        answers=MemoryAnswers(),
        guests=MemoryGuests(sessions),
    )
