"""A login house with guests: enter, log in with a guest's token, enrich, look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from config.clock import Deadline, now_ms
from models.device_info import DeviceInfo
from models.identity_sealing import IdentitySealer
from models.logins import record_logins
from models.outbox import Outbox
from models.stores.admission import Caller as LimitCaller
from models.users import User
from tests.conftest import NOWHERE
from tests.integration.login_house import House, open_house
from tests.integration.openings import journal
from web.services.caller import Caller, Claims
from web.services.guests import GuestService
from web.services.login_attempt import LoginRequest
from web.services.refresh import RefreshService
from web.services.tokens import token_id

if TYPE_CHECKING:
    from config.settings import Settings
    from models.base import Base
    from web.services.login_answer import LoginAnswer
    from web.services.tokens import Tokens


@dataclass
class GuestHouse(House):
    """What of a house guests need."""

    guests: GuestService

    def enter(self, *, device: str = "phone", app_id: str | None = None) -> Any:
        """Begin as a guest."""
        return self.guests.enter(app_id, DeviceInfo(id=device), caller())

    def login(  # type: ignore[override] # a code is made where none is given
        self, code: str = "", *, guest: Claims | None = None, device: str = "phone"
    ) -> Any:
        """Log in, with a guest or without."""
        told = DeviceInfo(id=device)
        request = LoginRequest(code or self.code(), device=told, guest=guest)
        return self.service.login(request, caller())

    def refresh(self, token: str) -> Tokens:
        service = RefreshService(self.settings, self.stores, self.database)
        return service.refresh(token, caller())

    def admitted(self, answer: LoginAnswer) -> str:
        """Return what admission says of a session."""
        asked = LimitCaller("10.0.0.1", user=answer.user_id, app=answer.app_id)
        return self.stores.admission.admit_request(
            "read", asked, session_id=answer.session_id
        ).session

    @property
    def has_redis(self) -> bool:
        """Whether this house has a Redis."""
        return self.settings.redis.url != NOWHERE

    def asked_for(self, task: str) -> set[str]:
        """Return the subjects that ``task`` was asked to see to."""
        return {row.subject_id for row in self.rows(Outbox) if row.name == task}

    def enrich(self) -> None:
        """Do what the task does with everything in the journal."""
        sealer = IdentitySealer(self.settings.secrets)
        find = self.stores.wechat_keys.find
        entries = journal(self.stores)
        self.database.transact(
            lambda work: record_logins(
                work.session,
                entries,
                lambda users: [
                    sealer.row(*user, told)
                    for user, told in zip(users, find(users), strict=True)
                    if told is not None
                ],
            )
        )

    def user(self, user_id: str) -> Any:
        with self.database.read() as session:
            return session.get(User, user_id)

    def rows(self, model: type[Base]) -> list[Any]:
        with self.database.read() as session:
            return list(session.scalars(sa.select(model)))

    def count(self, model: type[Base]) -> int:
        return len(self.rows(model))


def caller() -> Caller:
    return Caller("10.0.0.1", "", "r-1", Deadline.after_ms(60_000))


def claims_of(answer: Any) -> Claims:
    """Return what the access token of an answer says, verified."""
    now = now_ms() // 1000
    return Claims(
        user_id=answer.user_id,
        session_id=answer.session_id,
        app_id=answer.app_id,
        token_id=token_id(answer.session_id, 1),
        expires_at=now + 900,
        issued_at=now,
    )


def open_guest_house(settings: Settings) -> GuestHouse:
    made = open_house(settings)
    guests = GuestService(settings, made.stores, made.database)
    return GuestHouse(
        made.settings, made.service, made.stores, made.database, made.wechat, guests
    )
