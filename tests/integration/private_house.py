"""A house for what is private: logins, keys, encrypted data, with WeChat in process."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from config.clock import Deadline, now_ms
from models.database import open_database
from models.stores.container import open_stores
from tests.integration.login_house import WIDE
from tests.integration.login_house import House as LoginHouse
from web.services.caller import Claims
from web.services.login import LoginService
from web.services.open_data import OpenDataService, Signed
from wechat.gateway import open_gateway
from wechat.open_data import SealedData
from wechat.simulator.state import SimApp, SimState
from wechat.simulator.transport import SimulatedTransport

if TYPE_CHECKING:
    from collections.abc import Iterator

    from config.settings import Settings
    from models.database import Database
    from models.stores.container import Stores
    from wechat.gateway import Gateway

CHECK = "/wxa/checksession"
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
        return self.open_data.show(claims, data, signed, Deadline.after_ms(3000))

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
    (app,) = settings.wechat.apps
    simulated = SimApp(app.app_id, app.secret.get_secret_value())
    wechat = SimulatedTransport(SimState([simulated], seed=7))
    stores = open_stores(settings)
    database = open_database(settings, stores)
    gateway = open_gateway(settings, stores, transport=wechat)
    login = LoginService(settings, stores, database, gateway)
    try:
        yield PrivateHouse(
            settings,
            stores,
            database,
            gateway,
            wechat,
            logins=LoginHouse(login, stores, database, wechat),
            open_data=OpenDataService(settings, stores, gateway),
        )
    finally:
        stores.close()
        database.dispose()
