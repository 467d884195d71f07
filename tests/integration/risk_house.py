"""The rules' task over real stores and a simulated WeChat, and people to judge."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING

from config.clock import now_ms
from models.base import database_now, new_id
from models.behaviour_figures import Subject
from models.device_info import DeviceInfo
from models.login_entry import LoginEntry
from models.logins import record_logins
from models.risk_marks import RiskMark, list_marks
from models.schedule import ScheduleSlot
from models.standings import UserStanding, find_user_standing
from models.stores.behaviour import ROW
from models.stores.container import open_stores
from models.stores.wechat_keys import WeChatSecrets
from tasks.app import _process, configure, resources
from tasks.login_batch import Sealing
from tasks.risk import judge_behaviour
from tests.integration.security_history import security_history
from wechat.client import RISK_RANK
from wechat.gateway import open_gateway
from wechat.simulator.state import SimApp, SimState
from wechat.simulator.transport import SimulatedTransport

if TYPE_CHECKING:
    from config.settings import Settings
    from models.stores.container import Stores
    from tasks.app import Resources

APP = "wxdemo0000000001"
ADDRESS = "203.0.113.9"
_runs = count(1)


@dataclass
class RiskHouse:
    """Everything around one run of the rules."""

    house: Resources
    wechat: SimulatedTransport

    @classmethod
    def open(cls, settings: Settings) -> RiskHouse:
        """Wire what tasks work with to a simulated WeChat."""
        configure(settings)
        (app,) = settings.wechat.apps
        simulated = SimApp(app.app_id, app.secret.get_secret_value())
        wechat = SimulatedTransport(SimState([simulated], seed=7))
        opened = resources()
        gateway = open_gateway(settings, opened.stores, transport=wechat)
        wired = replace(opened, gateway=gateway)
        _process._opened = wired
        return cls(wired, wechat)

    @staticmethod
    def stores_of(settings: Settings) -> Stores:
        """Open other stores, such as those of a Redis that is away."""
        return open_stores(settings)

    def user(self, name: str, *, rank: int = 0, device: str = "") -> str:
        """Make a user who has just logged in and whom WeChat has an opinion of."""
        given = {"openid": f"o-{name}", "risk_rank": rank}
        openid = self.wechat.control("POST", "/_sim/users", given)["openid"]
        self.wechat.state.users[openid].opened_ms = self.wechat.state.now()
        return self.login(name, device or f"own-{name}")

    def login(self, name: str, device: str, ip: str = ADDRESS) -> str:
        """Write a login as enrichment does; return the user's id."""
        user_id, at = f"u_{name}", now_ms()
        entry = LoginEntry(
            id=new_id("lg"),
            kind="login",
            user_id=user_id,
            app_id=APP,
            session_id=new_id("se", at),
            at=at,
            expires_at=at + 60_000,
            device=DeviceInfo(id=device),
            ip=ip,
        )
        told = WeChatSecrets(f"o-{name}", "session-key")
        row = Sealing(self.house).row(APP, user_id, told)
        self.house.database.transact(
            lambda work: record_logins(work.session, [entry], lambda _: [row])
        )
        return user_id

    def behave(self, subject: Subject, **figures: float) -> None:
        """Leave figures as admission would, and have the subject wait for a look."""
        names = ("requests", "gaps", "total", "squares", "misses", "hops")
        row = [figures.get(name, 0.0) for name in names]
        packed = ROW.pack(now_ms(), *row, 0, figures.get("turns", 0.0), 0)
        stores = self.house.stores
        stores.redis.execute("SET", stores.keys.figures(*subject), packed, "PX", 60_000)
        busy = f"{subject.kind}:{subject.id}"
        stores.redis.execute("ZADD", stores.keys.busy, now_ms(), busy)

    def run(self) -> str:
        """Run the task of one slot and return its outcome."""
        with self.house.database.unit_of_work() as work:
            now = database_now(work.session) + next(_runs)
            task = "tasks.risk.judge_behaviour"
            row_id = work.enqueue(task, f"judge_behaviour@{now}")
            slot = {"job": "judge_behaviour", "due": now, "taken_at": now}
            work.session.add(ScheduleSlot(**slot, state="taken", outbox_id=row_id))
        return str(judge_behaviour(row_id))

    def marks(self, subject: Subject) -> dict[str, RiskMark]:
        """Return the marks of a subject by rule, the newest of each."""
        with self.house.database.read() as session:
            rows = list_marks(session, subject, 100)
            session.expunge_all()
        return {row.rule: row for row in reversed(rows)}

    def standing(self, user_id: str) -> UserStanding:
        """Return the user's standing in SQL."""
        with self.house.database.read() as session:
            return find_user_standing(session, user_id)

    def events(self, user_id: str) -> list[str]:
        """Return kind and words of what befell the user, oldest first."""
        events = security_history(self.house.database, user_id)
        return [f"{event.kind}: {event.detail}" for event in events]

    def questions(self) -> int:
        """Return how often WeChat was asked for a rank."""
        return self.wechat.state.calls[RISK_RANK]


def metronome(**more: float) -> dict[str, float]:
    """Return the figures of a machine that asks every second."""
    return {"requests": 200, "gaps": 190, "total": 190, "squares": 190.2} | more
