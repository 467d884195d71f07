"""A session service, the same one cut off from Redis, and looks into both stores."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from config.clock import Deadline, now_ms
from models import sessions as rows
from models.base import new_id
from models.login_entry import LoginEntry
from models.logins import record_logins
from models.outbox import Outbox
from models.stores.admission import Caller as LimitCaller
from models.stores.container import open_stores
from models.stores.sessions import NewSession
from models.stores.wechat_keys import WeChatSecrets
from tests.conftest import NOWHERE
from web.services.caller import Caller, Claims
from web.services.sessions import SessionService
from web.services.tokens import Grant, Tokens, TokenSigner, hash_of, token_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from config.settings import Settings
    from models.database import Database
    from models.stores.admission import Admission
    from models.stores.container import Stores

APP = "wx1"
CALLER = Caller("10.0.0.1", "phone", "r-1", Deadline(0))
LIFE_MS = 3_600_000


@dataclass
class House:
    """One deployment: its service, and the same service cut off from Redis."""

    settings: Settings
    stores: Stores
    database: Database
    service: SessionService
    cut_off: SessionService
    # The stores of the service that is cut off.
    cut: Stores

    def login(
        self, user: str, *, enriched: bool = True, age_ms: int = 0, epoch: int = 0
    ) -> Grant:
        """Open a session; the journal has or has not been written to SQL yet."""
        at = now_ms() - age_ms
        secret = f"secret of {user} at {at}"
        entry = LoginEntry(
            id=new_id("lg"),
            kind="login",
            user_id=user,
            app_id=APP,
            session_id=new_id("se", at),
            at=at,
            expires_at=at + LIFE_MS,
            refresh_hash=hash_of(secret),
            epoch=epoch,
        )
        told = WeChatSecrets("o", "k")
        code = f"kuaida:code:{entry.id}"
        self.stores.sessions.open(
            NewSession(
                entry, told, code, b"r", LIFE_MS, LIFE_MS, LIFE_MS, standing_asked=True
            )
        )
        if enriched:
            self.enrich(entry)
        return Grant(entry.session_id, user, APP, 1, at, epoch, at, secret)

    def enrich(self, *entries: LoginEntry) -> None:
        """Do what the task does with journal entries."""
        self.database.transact(
            lambda work: record_logins(work.session, entries, lambda _: [])
        )

    def wipe(self) -> None:
        self.stores.redis.execute("FLUSHALL")

    def settle(self) -> None:
        """Have Redis believe that it lacks nothing, as after the relay's round."""
        assert self.stores.standings.load(lambda _: None)

    def tokens(self, grant: Grant) -> Tokens:
        return TokenSigner(self.settings).sign(grant)

    def refresh(self, tokens: Tokens, *, away: bool = False) -> Tokens:
        service = self.cut_off if away else self.service
        return service.refresh(tokens.refresh_token, CALLER)

    def generation(self, tokens: Tokens) -> int:
        signer = TokenSigner(self.settings)
        return signer.read_refresh(tokens.refresh_token).generation

    def state(self, session_id: str) -> str:
        """Return what Redis tells a request about the session."""
        found = self.stores.redis.execute(
            "HMGET", self.stores.keys.session(session_id), "user", "revoked"
        )
        return "unknown" if found[0] is None else "revoked" if found[1] else "live"

    def is_live_in_sql(self, session_id: str) -> bool | None:
        with self.database.read() as session:
            found = rows.find_session_facts(session, session_id)
        return None if found is None else found.live

    def admit(self, grant: Grant) -> Admission:
        """Ask for a request of this session to be let in."""
        asked = LimitCaller("10.0.0.1", user=grant.user_id, app=grant.app_id)
        return self.stores.admission.admit_request(
            "read", asked, session_id=grant.session_id
        )

    def forget(self, grant: Grant) -> None:
        """Have Redis lose the session, and nothing else."""
        key, ids = grant.session_id, self.stores.keys.sessions(grant.user_id)
        self.stores.redis.execute("DEL", self.stores.keys.session(key))
        self.stores.redis.execute("ZREM", ids, key)

    def asked_for(self, task: str) -> set[str]:
        """Return the subjects that ``task`` was asked to see to."""
        with self.database.read() as session:
            found = session.scalars(
                sa.select(Outbox.subject_id).where(Outbox.name == task)
            )
            return set(found)


@contextmanager
def open_pair(
    settings: Settings, stores: Stores, database: Database, **tokens: Any
) -> Iterator[House]:
    """Open a house with the token settings that are named, and its cut-off twin."""
    nowhere = settings.redis.model_copy(update={"url": NOWHERE, "broker_url": NOWHERE})
    cut = open_stores(settings.model_copy(update={"redis": nowhere}))
    chosen = settings.model_copy(
        # What SQL must be told in time is not given up on a machine that stalls.
        update={
            "tokens": settings.tokens.model_copy(update={"verdict_s": 10, **tokens})
        }
    )
    service, cut_off = (SessionService(chosen, s, database) for s in (stores, cut))
    yield House(chosen, stores, database, service, cut_off, cut)
    cut.close()


def late_login(grant: Grant) -> LoginEntry:
    """Return the journal entry of a login as the worker reads it, late."""
    return LoginEntry(
        id=new_id("lg"),
        kind="login",
        user_id=grant.user_id,
        app_id=APP,
        session_id=grant.session_id,
        at=grant.issued_at,
        expires_at=grant.issued_at + LIFE_MS,
    )


def claims(grant: Grant, generation: int = 1) -> Claims:
    return Claims(
        user_id=grant.user_id,
        session_id=grant.session_id,
        app_id=APP,
        token_id=token_id(grant.session_id, generation),
        expires_at=grant.issued_at // 1000 + 900,
        issued_at=grant.issued_at // 1000,
    )
