"""Operations for tests: started, begun, finished and cancelled as others do it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from models.operation_ends import cancel_operation
from models.operation_work import NewOperation
from models.operations import Operation, OperationView, find_view, succeed
from models.outbox import Outbox, WorkContext
from models.outbox_lease import Lease, begin, finish
from models.user_events import UserEvent

if TYPE_CHECKING:
    from models.database import Database

TASK = "tasks.exports.anything"
USER, APP = "u_1", "wx1"
LEASE = Lease(60_000, deaths=3)


@dataclass
class Operations:
    """One database and the acts on its operations, each in a transaction of its own."""

    database: Database

    def start(
        self, context: WorkContext | None = None, **changes: Any
    ) -> OperationView:
        """Start an operation of the user, or join the equal one."""
        asked: dict[str, Any] = {
            "kind": "export",
            "task": TASK,
            "user_id": USER,
            "app_id": APP,
        }
        wanted = NewOperation(**asked | changes)
        with self.database.unit_of_work(context) as work:
            return work.start(wanted)

    def work_of(self, operation: OperationView) -> Outbox:
        """Return the operation's one outbox row as it is committed."""
        with self.database.read() as session:
            found = sa.select(Outbox).where(Outbox.operation_id == operation.id)
            return session.scalars(found).one()

    def row(self, operation: OperationView) -> Operation:
        """Return the operation's own row as it is committed."""
        with self.database.read() as session:
            return session.get_one(Operation, operation.id)

    def begin(self, operation: OperationView) -> Outbox | str:
        """Begin the operation's work as a task does."""
        row_id = self.work_of(operation).id
        return self.database.transact(lambda uow: begin(uow.session, row_id, LEASE))

    def context(self, operation: OperationView) -> WorkContext:
        """Return what the operation's work hands down."""
        row = self.work_of(operation)
        return WorkContext(row.id, row.app_id, row.operation_id, row.expires_at)

    def succeed(self, operation: OperationView) -> bool:
        """Finish the begun work with its effect; False when it is too late."""
        row = self.work_of(operation)
        with self.database.unit_of_work() as uow:
            if not finish(uow.session, row.id, row.fence):
                return False
            return succeed(uow.session, operation.id, {"ok": True})

    def cancel(self, operation: OperationView) -> OperationView | None:
        """Cancel as a request does."""
        return self.database.transact(
            lambda uow: cancel_operation(uow.session, operation.id)
        )

    def look(self, operation: OperationView) -> OperationView:
        """Return what a client sees now."""
        with self.database.read() as session:
            found = find_view(session, operation.id)
        assert found is not None
        return found

    def told(self, user_id: str = USER) -> list[str]:
        """Return the data of the user's events in their order."""
        with self.database.read() as session:
            found = sa.select(UserEvent.data).where(UserEvent.user_id == user_id)
            return list(session.scalars(found.order_by(UserEvent.seq)))
