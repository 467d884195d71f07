"""A login service with a simulated WeChat in its process, and the world around it."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from config.clock import Deadline
from models.database import open_database
from models.device_info import DeviceInfo
from models.errors import RedisUnavailable
from models.outbox import Outbox
from models.stores.container import open_stores
from tests.servers.process import wait_until
from web.services.caller import Caller
from web.services.code_flight import FLIGHT
from web.services.login import LoginService
from web.services.login_answer import LoginAnswer
from web.services.login_attempt import LoginRequest
from web.services.login_fallback import TASK
from wechat.gateway import open_gateway
from wechat.simulator.state import SimApp, SimState
from wechat.simulator.transport import SimulatedTransport

if TYPE_CHECKING:
    from collections.abc import Iterator

    from config.settings import Settings
    from models.database import Database
    from models.stores.container import Stores
    from wechat.transport import Answer

CODE2SESSION = "/sns/jscode2session"
# Of a caller less patient than the login is with WeChat: its exchange outlasts it.
HASTY_MS = 4500
HASTY = {"WECHAT_LOGIN_PATIENCE_S": "5"}
WIDE = {"RATE_LIMITS": '{"login.device": "1000/1000", "login.ip": "1000/1000"}'}


class GatedTransport(SimulatedTransport):
    """A WeChat whose answers a test can hold back."""

    def __init__(self, state: SimState) -> None:
        super().__init__(state)
        self._open = threading.Event()
        self._open.set()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Answer nobody for a while; who is asked has been asked."""
        self._open.clear()
        try:
            yield
        finally:
            self._open.set()

    def request(self, *what: Any, **how: Any) -> Answer:
        """Answer as the simulator does, once that is allowed."""
        try:
            return super().request(*what, **how)
        finally:
            self._open.wait()


@dataclass
class House:
    """A login service and the world around it."""

    settings: Settings
    service: LoginService
    stores: Stores
    database: Database
    wechat: GatedTransport

    def code(self, openid: str = "") -> str:
        """Return what ``wx.login`` hands the page of a new or known person."""
        given = {"openid": openid} if openid else {}
        user = self.wechat.control("POST", "/_sim/users", given)
        made = self.wechat.control("POST", "/_sim/codes", {"openid": user["openid"]})
        return str(made["code"])

    def login(
        self,
        code: str,
        *,
        device: str = "phone",
        timeout_ms: int = 60_000,
        until: Deadline | None = None,
    ) -> LoginAnswer:
        deadline = until or Deadline.after_ms(timeout_ms)
        caller = Caller("10.0.0.1", "", "r-1", deadline)
        request = LoginRequest(code, device=DeviceInfo(id=device))
        return self.service.login(request, caller)

    def key(self, code: str) -> str:
        """Return what Redis knows the code by."""
        nobody = Caller("", "", "", Deadline(0))
        return self.service._attempt(LoginRequest(code), nobody).code_key

    def until_asked(self) -> Deadline:
        """Return the time of a caller that is up as soon as WeChat has been asked."""
        calls, before = self.calls, self.calls()

        class UntilAsked(Deadline):
            def with_reserve(self, _seconds: float, _share: float) -> Deadline:
                wait_until(lambda: calls() > before, within_s=60, what="WeChat asked")
                return Deadline.after_ms(0)

        return UntilAsked.after_ms(HASTY_MS)

    def calls(self) -> int:
        return self.wechat.state.calls[CODE2SESSION]

    def fault(self, **how: Any) -> None:
        self.wechat.control("POST", "/_sim/faults", {"path": CODE2SESSION, **how})

    def heal(self) -> None:
        self.wechat.control("DELETE", "/_sim/faults")

    def close(self) -> None:
        # Exchanges that outlast their caller use the stores to their end.
        for thread in threading.enumerate():
            if thread.name == FLIGHT:
                thread.join()
        self.stores.close()
        self.database.dispose()

    def journaled(self) -> list[Outbox]:
        with self.database.read() as session:
            return list(session.scalars(sa.select(Outbox).where(Outbox.name == TASK)))


def open_house(settings: Settings) -> House:
    """Open the house of ``settings``; nobody is special in its world yet."""
    (app,) = settings.wechat.apps
    simulated = SimApp(app.app_id, app.secret.get_secret_value())
    wechat = GatedTransport(SimState([simulated], seed=7))
    stores, database = open_stores(settings), open_database(settings)
    with suppress(RedisUnavailable):
        # As the relay does it.
        stores.standings.load(lambda _: None)
    gateway = open_gateway(settings, stores, transport=wechat)
    service = LoginService(settings, stores, database, gateway)
    return House(settings, service, stores, database, wechat)


# Another process of the deployment; its simulator makes the same codes from its seed.
RIVAL = """
import json, os, sys
from concurrent.futures import ThreadPoolExecutor
from config.clock import Deadline
from config.settings import load_settings
from models.database import open_database
from models.stores.container import open_stores
from web.services.caller import Caller
from web.services.login import LoginService
from web.services.login_attempt import LoginRequest
from wechat.gateway import open_gateway
from wechat.simulator.state import SimApp, SimState
from wechat.simulator.transport import SimulatedTransport

settings = load_settings(dict(os.environ), env_file=None)
app = settings.wechat.apps[0]
state = SimState([SimApp(app.app_id, app.secret.get_secret_value())], seed=7)
wechat = SimulatedTransport(state)
stores = open_stores(settings)
gateway = open_gateway(settings, stores, transport=wechat)
service = LoginService(settings, stores, open_database(settings), gateway)
user = wechat.control("POST", "/_sim/users", {"openid": "o-1"})
code = wechat.control("POST", "/_sim/codes", {"openid": "o-1"})["code"]
path = "/sns/jscode2session"
fault = {"path": path, "mode": "delay", "delay_ms": 300}
wechat.control("POST", "/_sim/faults", fault)
stores.ping()
print("ready", flush=True)
sys.stdin.readline()

def login(_):
    caller = Caller("10.0.0.1", "phone", "r", Deadline.after_ms(60_000))
    return service.login(LoginRequest(code), caller).refresh_token

with ThreadPoolExecutor(25) as pool:
    told = sorted(set(pool.map(login, range(25))))
print(json.dumps([told, state.calls[path]]))
"""
