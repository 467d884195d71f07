"""A batch of journalled logins on its way into SQL, and what cannot be stored.

`tasks/logins.py` loads and acknowledges; here entries are decoded, written, and the
poison among them is found by halving the batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from config.logging import get_logger
from config.metrics.journals import LOGINS_POISONED, OUTBOX_DEAD
from models.database import UnitOfWork
from models.identities import IdentityRow
from models.identity_sealing import IdentitySealer
from models.inbox import mark_done
from models.login_entry import LoginEntry
from models.login_journal import PURPOSE, seal_bytes
from models.logins import record_logins
from models.outbox import NewWork
from models.outbox_support import add_dead
from models.rivals import VALUE_REFUSED
from models.sealing import sealer_for
from models.users import Profile
from tasks.app import Resources
from tasks.failures import cause_of, is_rival

REPLAY = "tasks.logins.replay_login"
SETTLE_KEY = "tasks.wechat_keys.settle_session_key"
# A rival that wrote the same logins has committed by the second look.
RIVAL_ATTEMPTS = 3

log = get_logger(__name__)
_decoder = msgspec.json.Decoder(LoginEntry)


class StreamEntry(NamedTuple):
    """What lies in the stream under ``id``."""

    id: str
    body: bytes


class Poison(NamedTuple):
    """An entry that no repeat will store, and why."""

    entry: StreamEntry
    cause: str


class Decoded(NamedTuple):
    """The entries of a batch that make sense, and the others."""

    logins: dict[StreamEntry, LoginEntry]
    poison: list[Poison]


class Written(NamedTuple):
    """What became of the logins of a batch."""

    profiles: list[Profile]
    poison: list[Poison]


class Refused(Exception):
    """The database does not take these logins, today or tomorrow."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class Sealing:
    """Turns what WeChat said about users into identity rows."""

    def __init__(self, house: Resources) -> None:
        self.row = IdentitySealer(house.settings.secrets).row
        self._find = house.stores.wechat_keys.find
        # Afterwards no key is there to be settled.
        self.keys_live_s = house.settings.tokens.session_key_s

    def find(self, users: Sequence[tuple[str, str]]) -> list[IdentityRow]:
        """Return the rows of (app_id, user_id) pairs whose secrets still live."""
        found = zip(users, self._find(users), strict=True)
        return [self.row(*user, told) for user, told in found if told is not None]


def decode_batch(entries: Sequence[StreamEntry]) -> Decoded:
    """Decode each entry; one that is no `LoginEntry` is poison."""
    decoded = Decoded({}, [])
    for entry in entries:
        try:
            decoded.logins[entry] = _decoder.decode(entry.body)
        except (msgspec.DecodeError, UnicodeError) as error:
            decoded.poison.append(Poison(entry, cause_of(error)))
    return decoded


def decode_login(body: bytes) -> LoginEntry:
    """Return one entry; raises msgspec.DecodeError."""
    return _decoder.decode(body)


def write_batch(house: Resources, logins: Mapping[StreamEntry, LoginEntry]) -> Written:
    """Write the logins in as few transactions as go through.

    Raises what is no entry's fault: nothing more is written, and all run again.
    """
    written = Written([], [])
    waiting = [list(logins)] if logins else []
    while waiting:
        part = waiting.pop()
        try:
            written.profiles.extend(_write(house, [logins[entry] for entry in part]))
        except Refused as error:
            if len(part) == 1:
                written.poison.append(Poison(part[0], error.cause))
            else:
                middle = len(part) // 2
                waiting += [part[middle:], part[:middle]]
    return written


def set_aside(house: Resources, poison: Sequence[Poison]) -> None:
    """Keep entries that cannot be stored as dead outbox rows, each of them once."""
    if not poison:
        return
    sealer = sealer_for(house.settings.secrets, PURPOSE)
    with house.database.unit_of_work() as uow:
        for (entry_id, body), cause in poison:
            if mark_done(uow.session, REPLAY, entry_id):
                payload = seal_bytes(sealer, body, entry_id)
                add_dead(uow.session, NewWork(REPLAY, entry_id, payload=payload), cause)
    LOGINS_POISONED.inc(len(poison))
    OUTBOX_DEAD.inc(len(poison))
    log.error("logins set aside", count=len(poison), cause=poison[0].cause)


def _write(house: Resources, logins: list[LoginEntry]) -> list[Profile]:
    sealing = Sealing(house)
    for attempt in range(1, RIVAL_ATTEMPTS + 1):
        try:
            return house.database.transact(lambda uow: _record(uow, logins, sealing))
        except VALUE_REFUSED as error:
            if is_rival(error) and attempt < RIVAL_ATTEMPTS:
                continue
            raise Refused(cause_of(error)) from error
    raise AssertionError


def _record(
    uow: UnitOfWork, logins: list[LoginEntry], sealing: Sealing
) -> list[Profile]:
    """Write the logins, and have WeChat asked whose keys may be in the wrong order."""
    contested = {(e.user_id, e.app_id) for e in logins if e.contested}
    for user_id, app_id in sorted(contested):
        live_s = sealing.keys_live_s
        uow.enqueue(SETTLE_KEY, user_id, app_id=app_id, useful_for_s=live_s)
    return record_logins(uow.session, logins, sealing.find)
