"""Long work as its user sees it: followed, waited for, cancelled.

Neighbours: `web/services/exports.py` starts some, `web/services/result_files.py`
gives the files back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from config.clock import MS_PER_S, Deadline
from models.errors import Conflict, NotFound
from models.operation_ends import cancel_operation
from models.operations import OperationView, find_user_view

if TYPE_CHECKING:
    from collections.abc import Callable

    from config.operation_settings import OperationSettings
    from models.database import Database, UnitOfWork
    from models.idempotency import Once
    from web.services.caller import Claims

T = TypeVar("T")


class OperationAnswer(msgspec.Struct, frozen=True):
    """What every answer about an operation carries."""

    operation: OperationView


class Waits(Protocol):
    """Waits for what happens to a user; see `web/services/event_hub.py`."""

    def wait_for(
        self, user_id: str, look: Callable[[], T | None], deadline: Deadline
    ) -> T | None:
        """Return the first answer of ``look`` that is not None; None at the end."""


class OperationService:
    """Operations of one user at a time; what is another's does not exist."""

    def __init__(
        self,
        settings: OperationSettings,
        database: Database,
        waits: Waits,
    ) -> None:
        self._settings = settings
        self._database = database
        self._waits = waits

    def get(
        self, claims: Claims, operation_id: str, wait_ms: int, deadline: Deadline
    ) -> OperationAnswer:
        """Return the operation, once it has ended or ``wait_ms`` are over.

        While waiting no database connection is held. Raises `NotFound`.
        """
        seen = self._find(claims, operation_id)

        def look() -> OperationView | None:
            nonlocal seen
            seen = self._find(claims, operation_id)
            return None if seen.active else seen

        if wait_ms and seen.active:
            until = self._until(wait_ms, deadline)
            self._waits.wait_for(claims.user_id, look, until)
        return OperationAnswer(seen)

    def cancel(
        self, claims: Claims, operation_id: str, once: Once | None = None
    ) -> OperationAnswer:
        """Cancel the operation and all below it; it has no effect from then on.

        Raises `NotFound`, and `Conflict` (``state_forbids``) when it is over already.
        """

        def act(work: UnitOfWork) -> OperationAnswer:
            seen = find_user_view(work.session, operation_id, claims.user_id)
            if seen is None:
                raise NotFound
            ended = cancel_operation(work.session, operation_id)
            # Its end may have come between the two looks.
            if not seen.active or ended is None or ended.state != "cancelled":
                raise Conflict("the operation is over", reason="state_forbids")
            return OperationAnswer(ended)

        return self._database.transact(act, once)

    def _find(self, claims: Claims, operation_id: str) -> OperationView:
        with self._database.read() as session:
            found = find_user_view(session, operation_id, claims.user_id)
        if found is None:
            raise NotFound
        return found

    def _until(self, wait_ms: int, deadline: Deadline) -> Deadline:
        reserve_s = self._settings.answer_reserve_ms / MS_PER_S
        return Deadline(min(Deadline.after_ms(wait_ms).at, deadline.at - reserve_s))
