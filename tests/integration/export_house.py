"""A house with the services and the task of exports, and people with a past."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from config.clock import Deadline
from config.queues import Queue
from models.logins import LoginEvent
from models.operation_files import OperationFile
from models.operations import find_view
from models.outbox import Outbox
from models.outbox_lease import claim
from tasks.exports import build_export
from tests.integration.journals import APP
from web.services.backlog_guard import BacklogGuard
from web.services.caller import Claims
from web.services.event_hub import EventHub
from web.services.exports import ExportService
from web.services.operations import OperationService
from web.services.result_files import ResultFiles

if TYPE_CHECKING:
    from concurrent.futures import Future

    from models.operations import OperationView
    from tasks.app import Resources

USER = "u_1"
# For people without a login in SQL: nobody waits for one.
NO_LOGIN = {"EXPORT_LOGIN_WAIT_S": "0"}
# So many logins take a worker a second or two.
MANY = 20_000


def claims_of(user_id: str = USER) -> Claims:
    """Return the token of a user."""
    return Claims(user_id, "se_1", APP, "t_1", 0)


@dataclass
class Exports:
    """What requests and the worker do, over one database."""

    house: Resources
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(4))

    def __post_init__(self) -> None:
        chosen, database = self.house.settings.operations, self.house.database
        settings = self.house.settings
        self.hub = EventHub(settings, self.house.stores.event_stream, database)
        guard = BacklogGuard(database, Queue.BULK, chosen.bulk_backlog, chosen)
        self.service = ExportService(chosen, database, guard)
        self.operations = OperationService(chosen, database, self.hub)
        self.files = ResultFiles(self.house.settings.secrets, database)

    def close(self) -> None:
        self.hub.close()
        self.pool.shutdown()

    def start(self, user_id: str = USER) -> OperationView:
        return self.service.start(claims_of(user_id))

    def message(self, operation: OperationView) -> str:
        """Hand the work over as the relay does; return what the message carries."""
        with self.house.database.unit_of_work() as uow:
            claim(uow.session, Queue.BULK, limit=100, resend_after_ms=30_000)
            its = sa.select(Outbox.id).where(Outbox.operation_id == operation.id)
            return uow.session.scalars(its).one()

    def run(self, operation: OperationView) -> str:
        """Do the work here and now."""
        return build_export(self.message(operation))

    def run_row(self, row_id: str) -> str:
        """Do the work of a row whose message is out."""
        outcome: str = build_export(row_id)
        return outcome

    def age(self, row_id: str, ms: int) -> None:
        """Let a row have been due for so long."""
        with self.house.database.unit_of_work() as uow:
            uow.session.get_one(Outbox, row_id).due_at -= ms

    def run_beside(self, operation: OperationView) -> Future[str]:
        """Do the work in a thread."""
        return self.pool.submit(build_export, self.message(operation))

    def look(self, operation: OperationView) -> OperationView:
        with self.house.database.read() as session:
            found = find_view(session, operation.id)
        assert found is not None
        return found

    def get(self, operation: OperationView, wait_ms: int = 0) -> OperationView:
        deadline = Deadline.after_ms(300_000)
        told = self.operations.get(claims_of(), operation.id, wait_ms, deadline)
        return told.operation

    def content(self, operation: OperationView, user_id: str = USER) -> bytes:
        """Fetch the file as its owner does."""
        return b"".join(self.files.open(claims_of(user_id), operation.id).pieces)

    def pieces(self, operation: OperationView | None = None) -> list[bytes]:
        """Return the sealed pieces that lie in SQL."""
        found = sa.select(OperationFile.body).order_by(OperationFile.part)
        if operation is not None:
            found = found.where(OperationFile.operation_id == operation.id)
        with self.house.database.read() as session:
            return list(session.scalars(found))

    def give_logins(self, count: int = MANY, user_id: str = USER) -> None:
        """Give a user a long past."""
        rows: list[dict[str, Any]] = [
            {
                "id": f"lg_{n:026d}",
                "user_id": user_id,
                "app_id": APP,
                "session_id": f"se_{n:026d}",
                "device_id": "phone",
                "ip": "10.0.0.1",
                # Many in one millisecond: pages must not lose or repeat any.
                "at": n // 7,
            }
            for n in range(count)
        ]
        for start in range(0, count, 1000):
            with self.house.database.unit_of_work() as uow:
                some = rows[start : start + 1000]
                uow.session.execute(sa.insert(LoginEvent), some)
