"""A person's export on both databases: whole, theirs alone, sealed, never doubled."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from models.errors import NotFound, Unavailable
from models.events import Event, EventType
from models.identities import IdentityRow
from models.logins import record_logins
from models.operation_files import OperationFile, piece_owner, prune
from models.outbox import Outbox
from models.outbox_lease import begin
from models.sealing import Unsealable, sealer_for
from tasks.app import configure, resources
from tasks.export_file import PIECE_BYTES
from tests.integration.export_house import NO_LOGIN, USER, Exports, claims_of
from tests.integration.journals import APP, make_login, openid
from tests.integration.operation_house import LEASE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from config.settings import Settings
    from models.operations import OperationView

SEALED = 29


@pytest.fixture
def exports(
    database_url: str, redis_url: str, make_settings: Callable[..., Settings]
) -> Iterator[Exports]:
    urls = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
    guard = {"BULK_BACKLOG": "3", "BACKLOG_FRESH_S": "0"}
    configure(make_settings(**urls, **guard, **NO_LOGIN))
    made = Exports(resources())
    yield made
    made.close()
    made.house.close()


def enrich(exports: Exports) -> str:
    """Write a login into every table, as the worker does; return whose it is."""
    entry = make_login(exports.house)
    row = IdentityRow(
        entry.user_id, APP, "hash", openid(1).encode(), "union", b"secret"
    )
    with exports.house.database.unit_of_work() as uow:
        record_logins(uow.session, [entry], lambda _: [row])
        data = {"changed": ["昵称"]}
        uow.publish(Event(EventType.PROFILE_UPDATED, entry.user_id, data))
    return entry.user_id


def done(exports: Exports, user_id: str = USER) -> OperationView:
    operation = exports.start(user_id)
    assert exports.run(operation) == "done"
    return exports.look(operation)


def test_the_file_tells_everything_and_keeps_wechats_names_out(
    exports: Exports,
) -> None:
    user_id = enrich(exports)

    content = exports.content(done(exports, user_id), user_id)

    told = json.loads(content)
    assert told["format"] == "kuaida-export/1"
    assert told["profile"][0]["id"] == user_id
    assert told["profile"][0]["login_count"] == 1
    assert told["identities"][0]["has_unionid"] is True
    assert [d["model"] for d in told["devices"]] == ["iPhone 15"]
    assert len(told["sessions"]) == len(told["login_history"]) == 1
    assert told["events"][1]["data"] == {"changed": ["昵称"]}
    assert [o["kind"] for o in told["operations"]] == ["export"]
    for secret in (openid(1), "secret", "blind-"):
        assert secret.encode() not in content


def test_the_result_describes_the_file(exports: Exports) -> None:
    exports.give_logins(800)
    operation = done(exports)

    file = operation.result["file"]
    content = exports.content(operation)
    assert file["bytes"] == len(content)
    assert file["sha256"] == hashlib.sha256(content).hexdigest()
    assert file["path"] == f"/api/v1/operations/{operation.id}/file"
    assert file["content_type"] == "application/json"
    assert file["name"].startswith("kuaida-export-")
    days = (file["expires_at"] - operation.created_at) / 86_400_000
    assert 6.9 < days < 7.1


def test_no_row_is_lost_or_repeated_between_pages(exports: Exports) -> None:
    exports.give_logins(1713)

    told = json.loads(exports.content(done(exports)))

    ids = [row["id"] for row in told["login_history"]]
    assert ids == [f"lg_{n:026d}" for n in range(1713)]


def test_pieces_are_small_and_open_only_in_their_place(exports: Exports) -> None:
    exports.give_logins(800)
    operation = done(exports)

    pieces = exports.pieces(operation)
    sizes = [len(piece) for piece in pieces]
    assert len(sizes) > 2
    assert set(sizes[:-1]) == {PIECE_BYTES + SEALED}
    assert b"session_id" not in b"".join(pieces)
    sealer = sealer_for(exports.house.settings.secrets, "export")
    assert sealer.unseal(pieces[1], piece_owner(operation.id, 1))
    for elsewhere in (piece_owner(operation.id, 0), piece_owner("op_other", 1)):
        with pytest.raises(Unsealable):
            sealer.unseal(pieces[1], elsewhere)


def test_a_user_who_is_not_enriched_yet_gets_an_export(exports: Exports) -> None:
    told = json.loads(exports.content(done(exports, "u_new"), "u_new"))

    assert told["profile"][0]["id"] == "u_new"
    assert told["profile"][0]["app_id"] == APP
    assert told["login_history"] == []


def test_a_repeated_attempt_begins_anew(exports: Exports) -> None:
    exports.give_logins(800)
    operation = exports.start()
    with exports.house.database.unit_of_work() as uow:
        for part in range(9):
            stray = OperationFile(
                operation_id=operation.id, part=part, body=b"x", expires_at=2**50
            )
            uow.session.add(stray)

    assert exports.run(operation) == "done"

    assert len(json.loads(exports.content(operation))["login_history"]) == 800
    assert len(exports.pieces(operation)) < 9


def test_the_message_that_comes_twice_makes_one_file(exports: Exports) -> None:
    operation = exports.start()
    row_id = exports.message(operation)
    first = exports.run(operation)
    before = exports.pieces()

    assert (first, exports.run(operation)) == ("done", "nothing")
    assert exports.pieces() == before
    assert row_id == exports.message(operation)


def test_a_late_attempt_writes_nothing_into_the_file(exports: Exports) -> None:
    exports.give_logins(6000)
    operation = exports.start()
    late = exports.run_beside(operation)
    row_id = exports.message(operation)
    while not exports.pieces():
        assert not late.done()
    with exports.house.database.unit_of_work() as uow:
        begun = begin(uow.session, row_id, LEASE, lost_message=f"{row_id}.1")
        assert isinstance(begun, Outbox)

    assert late.result(100) == "overtaken"
    with exports.house.database.unit_of_work() as uow:
        held = uow.session.get_one(Outbox, row_id)
        held.holder_fence = None
    assert exports.run(operation) == "done"
    assert len(json.loads(exports.content(operation))["login_history"]) == 6000


def test_a_newer_export_takes_the_place_of_the_older(exports: Exports) -> None:
    old = done(exports)
    other = done(exports, "u_2")
    new = done(exports)

    assert exports.content(new)
    assert exports.content(other, "u_2")
    with pytest.raises(NotFound):
        exports.content(old)


def test_a_file_is_its_owners_alone_and_for_a_time(exports: Exports) -> None:
    operation = done(exports)
    with pytest.raises(NotFound):
        exports.files.open(claims_of("u_2"), operation.id)
    with pytest.raises(NotFound):
        exports.files.open(claims_of(), "op_none")
    with pytest.raises(NotFound):
        exports.content(exports.start())

    over = sa.update(OperationFile).values(expires_at=1)
    with exports.house.database.unit_of_work() as uow:
        uow.session.execute(over)
    with pytest.raises(NotFound):
        exports.content(operation)
    with exports.house.database.unit_of_work() as uow:
        assert prune(uow.session, before=2, limit=500) == 1
    assert exports.pieces() == []


def test_a_file_that_goes_away_is_not_taken_for_whole(exports: Exports) -> None:
    exports.give_logins(800)
    operation = done(exports)
    pieces = exports.files.open(claims_of(), operation.id).pieces
    next(pieces)
    with exports.house.database.unit_of_work() as uow:
        uow.session.execute(sa.delete(OperationFile))

    with pytest.raises(Unavailable):
        list(pieces)


def test_a_full_lane_takes_no_export_but_lets_join(exports: Exports) -> None:
    mine = exports.start()
    for n in (2, 3):
        exports.start(f"u_{n}")

    with pytest.raises(Unavailable) as refused:
        exports.start("u_4")

    assert refused.value.reason == "overloaded"
    assert exports.start().id == mine.id
    exports.run(mine)
    exports.start("u_4")
