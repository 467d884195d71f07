"""Starting a person's export, unless one of theirs runs or too much work waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from config.clock import MS_PER_S
from models.base import database_now
from models.operation_work import NewOperation, find_active
from models.sessions import find_session_facts

if TYPE_CHECKING:
    from config.operation_settings import OperationSettings
    from models.database import Database, UnitOfWork
    from models.operations import OperationView
    from web.services.backlog_guard import BacklogGuard
    from web.services.caller import Claims

EXPORT: Final = "export"
BUILD_EXPORT: Final = "tasks.exports.build_export"


class ExportService:
    """The door to `tasks/exports.py`."""

    def __init__(
        self, settings: OperationSettings, database: Database, guard: BacklogGuard
    ) -> None:
        self._patience_ms = settings.export_deadline_s * MS_PER_S
        self._database = database
        self._guard = guard

    def start(self, claims: Claims) -> OperationView:
        """Start the export of everything held about the caller, or join theirs.

        Raises `Unavailable` (``overloaded``) when too much work waits already; joining
        is free.
        """
        with self._database.read() as session:
            running = find_active(session, EXPORT, claims.user_id)
        if running is not None:
            return running
        self._guard.check()
        return self._database.transact(lambda work: self._begin(work, claims))

    def _begin(self, work: UnitOfWork, claims: Claims) -> OperationView:
        # A login a moment old is still on its way into SQL: the task waits for it.
        is_pending = find_session_facts(work.session, claims.session_id) is None
        return work.start(
            NewOperation(
                kind=EXPORT,
                task=BUILD_EXPORT,
                user_id=claims.user_id,
                app_id=claims.app_id,
                equal_key=claims.user_id,
                payload=claims.session_id if is_pending else None,
                expires_at=database_now(work.session) + self._patience_ms,
            )
        )
