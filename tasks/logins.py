"""Enrichment: what a login left in the journal becomes rows in SQL, exactly once.

`workers/login_relay.py` sends batches of stream ids; the entries go when their rows
are committed. Parts of the work live in `tasks/login_batch.py`.
"""

from __future__ import annotations

import re
from typing import Any

from config.logging import get_logger
from config.metrics.journals import ENRICHED_BATCH
from models.login_journal import PURPOSE, unseal_bytes, unseal_login
from models.logins import record_logins
from models.sealing import sealer_for
from tasks.app import app, resources
from tasks.base import HouseTask, OutboxTask
from tasks.login_batch import (
    Sealing,
    StreamEntry,
    decode_batch,
    decode_login,
    set_aside,
    write_batch,
)
from tasks.user_cache import warm_users
from tasks.work import Work

STREAM_ID = re.compile(r"\d{1,20}-\d{1,20}")

log = get_logger(__name__)


class LoginBatchTask(HouseTask):
    """Runs the body for ids of the login stream, which stay there until committed."""

    abstract = True

    def accepts(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether the message is a list of stream ids."""
        ids = args[0] if len(args) == 1 and not kwargs else None
        return isinstance(ids, list) and all(map(STREAM_ID.fullmatch, map(str, ids)))

    def handle(self, entry_ids: list[str]) -> str:
        """Run the body; after a failure the relay sends the ids again."""
        return self.guarded(lambda: str(self.run(entry_ids)))


@app.task(base=LoginBatchTask)
def enrich_logins(entry_ids: list[str]) -> str:
    """Write the logins under ``entry_ids``, warm the cache, then acknowledge.

    In this order, so that a kill at any point costs a repetition and nothing else.
    """
    house = resources()
    stream = house.stores.login_stream
    bodies = zip(entry_ids, stream.load(entry_ids), strict=True)
    entries = [StreamEntry(name, body) for name, body in bodies if body is not None]
    if not entries:
        return "nothing"
    logins, poison = decode_batch(entries)
    written = write_batch(house, logins)
    poison += written.poison
    set_aside(house, poison)
    warm_users(house, written.profiles)
    stream.acknowledge(entry_ids)
    ENRICHED_BATCH.observe(len(entries))
    log.info(
        "logins enriched",
        size=len(entries),
        poison=len(poison),
        done=len(entry_ids) - len(entries),
    )
    return "done"


@app.task(base=OutboxTask)
def enrich_journaled_login(work: Work) -> None:
    """Write a login that was accepted while Redis was away."""
    house = work.resources
    sealer = sealer_for(house.settings.secrets, PURPOSE)
    login = unseal_login(sealer, work.payload or "", work.subject_id)
    row = Sealing(house).row(login.entry.app_id, login.entry.user_id, login.names)
    with work.effect() as uow:
        profiles = record_logins(uow.session, [login.entry], lambda _: [row])
    warm_users(house, profiles)


@app.task(base=OutboxTask)
def replay_login(work: Work) -> None:
    """Write a stream entry that had been set aside, after a person revived its row."""
    house = work.resources
    sealer = sealer_for(house.settings.secrets, PURPOSE)
    entry = decode_login(unseal_bytes(sealer, work.payload or "", work.subject_id))
    with work.effect() as uow:
        profiles = record_logins(uow.session, [entry], Sealing(house).find)
    warm_users(house, profiles)
