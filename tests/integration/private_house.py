"""A house for what is private: logins, keys, encrypted data, with WeChat in process."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from config.clock import Deadline, now_ms
from models.idempotency import Once
from models.paid_budgets import most_spent
from models.paid_calls import PaidCall
from models.users import find_profile
from tests.integration.login_house import WIDE, open_house
from tests.integration.login_house import House as LoginHouse
from web.services.caller import Claims
from web.services.open_data import OpenDataService, Signed
from web.services.phone import PhoneService
from web.services.phone_calls import PhoneCalls
from wechat.gateway import open_gateway
from wechat.open_data import SealedData

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from config.settings import Settings
    from models.base import Base
    from models.database import Database
    from models.stores.container import Stores
    from wechat.gateway import Gateway
    from wechat.simulator.transport import SimulatedTransport

CHECK = "/wxa/checksession"
CALL = "/wxa/business/getuserphonenumber"
OPENID = "oPRIVATE000000000000000000x1"
OTHER = "oPRIVATE000000000000000000x2"
NUMBER, SHOWN = "13800008000", "138****8000"
ANY_LIMIT = {**WIDE, "DECRYPT_REFUSAL_MS": "0"}


@dataclass
class PrivateHouse:
    """The services over real stores; ``logins`` plays the mini-program."""

    settings: Settings
    stores: Stores
    database: Database
    gateway: Gateway
    wechat: SimulatedTransport
    logins: LoginHouse
    open_data: OpenDataService
    phones: PhoneService

    def join(self, openid: str, **known: Any) -> Claims:
        """Log a WeChat user in and return what their token says."""
        if known:
            self.wechat.control("POST", "/_sim/users", {"openid": openid, **known})
        answer = self.logins.login(self.logins.code(openid), device=f"d-{openid}")
        return Claims(
            answer.user_id, answer.session_id, answer.app_id, "t", now_ms() // 1000
        )

    def sealed(
        self, openid: str, kind: str = "user_info", **overrides: Any
    ) -> tuple[SealedData, Signed]:
        """Return what the page of ``openid`` gets, under its present session_key."""
        given = {"openid": openid, "kind": kind, "overrides": overrides}
        made = self.wechat.control("POST", "/_sim/encrypt", given)
        data = SealedData(made["encrypted_data"], made["iv"])
        return data, Signed(made["raw_data"], made["signature"])

    def show(
        self, claims: Claims, data: SealedData, signed: Signed | None = None
    ) -> dict[str, Any]:
        return self.open_data.show(claims, data, signed, Deadline.after_ms(60_000))

    def phone_code(self, openid: str, phone: str = "") -> str:
        """Return what the phone button hands the page."""
        if phone:
            given = {"openid": openid, "phone": phone}
            self.wechat.control("POST", "/_sim/users", given)
        asked = {"openid": openid, "kind": "phone"}
        return str(self.wechat.control("POST", "/_sim/codes", asked)["code"])

    def bind(
        self, claims: Claims, code: str, once: Once | None = None, wait_ms: int = 60_000
    ) -> str:
        """Bind by code and return what is shown of the number."""
        deadline = Deadline.after_ms(wait_ms)
        return self.phones.bind_by_code(claims, code, deadline, once).phone_masked

    def profile_phone(self, claims: Claims) -> str | None:
        """Return the number the profile shows."""
        with self.database.read() as session:
            profile = find_profile(session, claims.user_id)
        return None if profile is None else profile.phone_masked

    def rows(self, table: type[Base]) -> list[Any]:
        """Return all rows of a table."""
        with self.database.read() as session:
            return list(session.scalars(sa.select(table)))

    def ledger(self) -> list[tuple[str, bool]]:
        """Return how each billed call ended, and whether its code is still held."""
        rows = sorted(self.rows(PaidCall), key=lambda row: row.id)
        return [(row.state, row.flight is not None) for row in rows]

    def spent(self) -> int:
        """Return this month's fen."""
        with self.database.read() as session:
            return most_spent(session)

    def login_elsewhere(self, openid: str) -> None:
        """Have WeChat give the user a new key that we never hear of."""
        given = {"openid": openid, "rotate": True}
        self.wechat.control("POST", "/_sim/codes", given)

    def calls(self, path: str = CHECK) -> int:
        return self.wechat.state.calls[path]

    def fault(self, path: str = CHECK, **how: Any) -> None:
        self.wechat.control("POST", "/_sim/faults", {"path": path, **how})

    def heal(self) -> None:
        self.wechat.control("DELETE", "/_sim/faults")


@contextmanager
def private_house(settings: Settings) -> Iterator[PrivateHouse]:
    """Open a house and close it whatever happens."""
    logins = open_house(settings)
    stores, database = logins.stores, logins.database
    gateway = open_gateway(settings, stores, transport=logins.wechat)
    open_data = OpenDataService(settings, stores, gateway)
    calls = PhoneCalls(settings, stores, database, gateway)
    phones = PhoneService(settings, stores, database, open_data=open_data, calls=calls)
    try:
        yield PrivateHouse(
            settings,
            stores,
            database,
            gateway,
            logins.wechat,
            logins=logins,
            open_data=open_data,
            phones=phones,
        )
    finally:
        logins.close()


def once(key: str, body: str = "b") -> Once:
    """Return a request under an Idempotency-Key."""
    return Once("u_1", "POST /me/phone", key, body, "r-1", 600)


def run_at_once(acts: list[tuple[Callable[..., None], tuple[Any, ...]]]) -> None:
    """Run each act in a thread of its own and wait for all."""
    threads = [threading.Thread(target=act, args=given) for act, given in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
