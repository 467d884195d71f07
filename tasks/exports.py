"""Collecting everything held about a person into one file of theirs.

The file is JSON, written piece by piece (`tasks/export_file.py`) while the tables are
read page by page, so that the memory used does not grow with a person's history.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from config.clock import MS_PER_S
from models.base import database_now
from models.operation_ends import delete_older_files
from models.operation_files import delete_files
from models.operations import find_user_id
from models.personal_data import Section, count_rows, key_of, read_page
from models.personal_sections import SECTIONS
from models.sessions import find_session_facts
from tasks.app import app
from tasks.base import OutboxTask
from tasks.export_file import ExportFile
from tasks.work import Work

if TYPE_CHECKING:
    from collections.abc import Iterator

    from models.database import UnitOfWork


@app.task(base=OutboxTask)
def build_export(work: Work) -> None:
    """Write the file of the person whose operation this is."""
    with work.step() as uow:
        pending = _lacks_login(work, uow)
        now = database_now(uow.session)
        if pending and _waits(work, uow, now):
            return
        user_id = find_user_id(uow.session, work.subject_id)
        # An earlier attempt may have left pieces of another reading.
        delete_files(uow.session, [work.subject_id])
    if user_id is None:
        return
    file = ExportFile(work, now)
    reader = Reader(work, user_id)
    told = json.dumps(pending)
    file.add(f'{{"format":"kuaida-export/1","made_at":{now},"pending_login":{told}')
    for section in SECTIONS:
        file.add(f',"{section.name}":[')
        comma = ""
        for rows in reader.pages(section):
            for row in rows:
                file.add(comma + _line(row))
                comma = ","
            file.save()
            work.checkpoint(reader.done, reader.total)
        file.add("\n]")
    file.add("}\n")
    with work.effect() as uow:
        file.finish(uow)
        # One copy of a person's data is enough: the newest.
        delete_older_files(uow.session, work.subject_id)
        work.succeed(uow, {"file": file.describe()})


class Reader:
    """Reads one person's rows, and knows how far it is."""

    def __init__(self, work: Work, user_id: str) -> None:
        self._database = work.resources.database
        self._page = work.resources.settings.operations.export_page
        self._user_id = user_id
        self.done = 0
        with self._database.read() as session:
            counts = [count_rows(session, section, user_id) for section in SECTIONS]
        self.total = sum(counts)

    def pages(self, section: Section) -> Iterator[list[dict[str, Any]]]:
        """Yield the section's rows page by page; no connection is held between."""
        after = None
        while True:
            with self._database.read() as session:
                rows = read_page(session, section, self._user_id, after, self._page)
            if rows:
                self.done += len(rows)
                yield section.show(rows)
                after = key_of(section, rows[-1])
            if len(rows) < self._page:
                return


def _lacks_login(work: Work, uow: UnitOfWork) -> bool:
    """Return whether the login this was asked with is not in SQL yet.

    Its session, whose id is the payload, comes in the commit of all the rest.
    """
    session_id = work.payload
    return (
        session_id is not None and find_session_facts(uow.session, session_id) is None
    )


def _waits(work: Work, uow: UnitOfWork, now: int) -> bool:
    """Give the row back for a moment, unless the login has had its time."""
    chosen = work.resources.settings.operations
    if now - work.due_at >= chosen.export_login_wait_s * MS_PER_S:
        return False
    delay_ms = int(chosen.export_login_look_s * MS_PER_S)
    work.give_back(uow, delay_ms, "the login is not in SQL yet")
    return True


def _line(row: dict[str, Any]) -> str:
    return "\n" + json.dumps(row, ensure_ascii=False, separators=(",", ":"))
