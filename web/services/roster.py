"""The services of a process: what views may ask, and how they are opened.

Views see the protocols, so that tests can serve them from memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from models.stores.steps import NO_STEP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import msgspec

    from config.clock import Deadline
    from models.device_info import DeviceInfo
    from models.idempotency import KeptAnswer, Once
    from models.notifications import NotificationView
    from models.operations import OperationView
    from models.standings import Action
    from models.stores.admission import Admission
    from models.stores.admission import Caller as LimitCaller
    from models.stores.refusals import Asked
    from models.stores.steps import Step
    from models.users import Profile
    from web.services.caller import Caller, Claims
    from web.services.event_follower import Wish
    from web.services.events import EventPage
    from web.services.idempotency import Told
    from web.services.local_buckets import LocalBuckets
    from web.services.login_answer import LoginAnswer
    from web.services.login_attempt import LoginRequest
    from web.services.notification_request import NewNotification
    from web.services.open_data import Signed
    from web.services.operations import OperationAnswer
    from web.services.phone import BoundPhone
    from web.services.result_files import ResultFile
    from web.services.session_end import Revoked
    from web.services.session_shapes import SessionPage
    from web.services.sessions import Scope
    from web.services.support import Support
    from web.services.tokens import Tokens
    from wechat.open_data import SealedData


class AdmissionDoor(Protocol):
    """Rate limits and session state in one round trip."""

    def admit_request(
        self,
        limit_class: str,
        caller: LimitCaller,
        *,
        session_id: str = "",
        epoch: int = 0,
        step: Step = NO_STEP,
    ) -> Admission:
        """Count the request; `Limited` when refused, `RedisUnavailable` when away."""


class Refusals(Protocol):
    """Why requests were refused, kept for whoever asks later."""

    def note(self, asked: Asked, reason: str, whose: str) -> None:
        """Keep a refusal that no limit made; `RedisUnavailable` when away."""


class Login(Protocol):
    """Turns a WeChat code into a session."""

    def login(self, request: LoginRequest, caller: Caller) -> LoginAnswer:
        """Return tokens and user, or raise from `models.errors`."""


class Guests(Protocol):
    """Sessions of people of whom nothing is known."""

    def enter(
        self, app_id: str | None, device: DeviceInfo | None, caller: Caller
    ) -> LoginAnswer:
        """Return tokens of a new guest."""


class Sessions(Protocol):
    """Refresh, logout, and the session check when Redis cannot answer."""

    def refresh(self, refresh_token: str, caller: Caller) -> Tokens:
        """Rotate the refresh token."""

    def logout(self, claims: Claims, scope: Scope, once: Once | None = None) -> Revoked:
        """End ``this``, ``others`` or ``all`` sessions."""

    def confirm(self, claims: Claims) -> Action:
        """Return what the user may do, if SQL lets the session live.

        Raises `Unauthenticated` or `Forbidden` otherwise.
        """

    def placed(self, claims: Claims) -> Claims:
        """Return claims that name no app with the app of their session.

        Raises `Unauthenticated` for a session nobody knows.
        """

    def recheck(self, claims: Claims) -> None:
        """Raise the same where SQL knows that a session in Redis has ended."""


class MySessions(Protocol):
    """The caller's live sessions."""

    def page(self, claims: Claims, cursor: str | None, limit: int) -> SessionPage:
        """Return one page, newest first."""

    def end_one(
        self, claims: Claims, session_id: str, once: Once | None = None
    ) -> Revoked:
        """End one of them; `NotFound` for any other."""


class Profiles(Protocol):
    """The caller's own profile."""

    def get(self, claims: Claims) -> Profile | msgspec.Raw:
        """Return it, from the session's data while SQL has no row yet."""

    def update(
        self, claims: Claims, changes: Mapping[str, object], once: Once | None = None
    ) -> Profile:
        """Change the named fields and return the new profile."""


class OpenData(Protocol):
    """What WeChat's client encrypted for the caller."""

    def show(
        self,
        claims: Claims,
        sealed: SealedData,
        signed: Signed | None,
        deadline: Deadline,
    ) -> dict[str, Any]:
        """Return it masked, or raise `OpenDataRefused` or `Conflict`."""


class Phones(Protocol):
    """The caller's phone number."""

    def bind_by_code(
        self,
        claims: Claims,
        code: str,
        deadline: Deadline,
        once: Once | None = None,
        /,
    ) -> BoundPhone:
        """Bind the number behind a phone button's code."""

    def bind_by_data(
        self,
        claims: Claims,
        sealed: SealedData,
        deadline: Deadline,
        once: Once | None = None,
        /,
    ) -> BoundPhone:
        """Bind the number in encrypted data."""


class Answers(Protocol):
    """One answer for each Idempotency-Key."""

    def answer(self, once: Once, produce: Callable[[], object]) -> Told:
        """Return what ``produce`` gives, or what an equal request was given."""

    def repeat(self, once: Once) -> KeptAnswer | None:
        """Return what the very token of ``once`` was answered before it ended."""


class Notifications(Protocol):
    """Subscribe messages; every method returns the message as it is now."""

    def accept(
        self, wanted: NewNotification, once: Once | None = None
    ) -> NotificationView:
        """Take a message, once for each dedupe key."""

    def get(self, notification_id: str) -> NotificationView:
        """Return a message, or raise `NotFound`."""

    def cancel(
        self, notification_id: str, once: Once | None = None
    ) -> NotificationView:
        """Cancel a message that is not being sent yet."""

    def retry(self, notification_id: str, once: Once | None = None) -> NotificationView:
        """Send a failed or unknown message anew."""


class Feed(Protocol):
    """The lines of one stream; closed once, whatever ends it."""

    @property
    def cursor(self) -> str:
        """Where it begins."""

    def __iter__(self) -> Iterator[bytes]:
        """Return the lines as they come."""

    def close(self) -> None:
        """Wait for no more."""


class Events(Protocol):
    """What happened to the caller."""

    def poll(
        self, wish: Wish, wait_ms: int, patience: Deadline | None = None
    ) -> EventPage:
        """Return what follows the cursor, once there is something or time is up."""

    def stream(self, wish: Wish) -> Feed:
        """Return the lines that follow the cursor."""


class Operations(Protocol):
    """Long work of the caller."""

    def get(
        self, claims: Claims, operation_id: str, wait_ms: int, deadline: Deadline
    ) -> OperationAnswer:
        """Return the operation, waiting for its end; `NotFound`."""

    def cancel(
        self, claims: Claims, operation_id: str, once: Once | None = None
    ) -> OperationAnswer:
        """Cancel it; `NotFound`, or `Conflict` when it is over."""


class Exports(Protocol):
    """Exports of what is held about the caller."""

    def start(self, claims: Claims) -> OperationView:
        """Start the caller's export or join it; `Unavailable` when overloaded."""


class Files(Protocol):
    """Result files of operations."""

    def open(self, claims: Claims, operation_id: str) -> ResultFile:
        """Return the caller's file; `NotFound` when there is none."""


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a view or the dispatcher may ask of this process."""

    admission: AdmissionDoor
    refusals: Refusals
    local_buckets: LocalBuckets
    login: Login
    guests: Guests
    sessions: Sessions
    my_sessions: MySessions
    profiles: Profiles
    open_data: OpenData
    phones: Phones
    events: Events
    support: Support
    answers: Answers
    notifications: Notifications
    operations: Operations
    exports: Exports
    files: Files
