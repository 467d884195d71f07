"""A connection of MySQL or MariaDB that waits no longer than its caller can.

`models/engine.py` opens these. `models/sql_limits.py` has the server end what is slow;
this is for a server, or a network, that says nothing at all. The driver asks two
attributes before each wait, in connecting and in the pool's ping too. They are
answered from `config/patience.py`, so nothing has to be put back for the next caller.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pymysql.connections import Connection

from config.patience import bound_deadline

# Waited for beyond the deadline: the server's own cut comes first, on a busy machine
# too, and a rollback can be told. It is also the least that a ping gets, so that who
# has one millisecond left does not throw whole connections away.
RESERVE_S = 0.5


class PatientConnection(Connection):  # type: ignore[misc]  # the driver has no types
    """The driver's connection; a wait that ends closes it, and the server rolls back.

    Raises the driver's "server lost", caused by a `TimeoutError`.
    """

    commit_least_s = 0.0
    _unverified: ClassVar[Any] = None
    _most_s = 0.0
    _least_s = 0.0

    @property
    def _read_timeout(self) -> float:
        deadline = bound_deadline()
        if deadline is None:
            return self._most_s
        patience = max(deadline.remaining_s(), 0.0) + RESERVE_S
        return min(self._most_s, max(patience, self._least_s))

    @_read_timeout.setter
    def _read_timeout(self, seconds: float) -> None:
        self._most_s = seconds

    # One setting bounds both ways.
    _write_timeout = _read_timeout

    def _create_ssl_ctx(self, asked: Any) -> Any:  # noqa: ANN401 (the driver's own)
        """Return what the driver makes of ``asked``, made once where that is nothing.

        It then loads the system's certificates and verifies by none: 25 ms of CPU for
        each connection, in which no other request of this process goes on.
        """
        if asked:
            return super()._create_ssl_ctx(asked)
        if PatientConnection._unverified is None:
            PatientConnection._unverified = super()._create_ssl_ctx(asked)
        return PatientConnection._unverified

    def commit(self) -> None:
        """Commit; waits ``commit_least_s`` at least, as a cut leaves it unknown."""
        self._least_s = self.commit_least_s
        try:
            super().commit()
        finally:
            self._least_s = 0.0


def was_silent(error: BaseException | None) -> bool:
    """Whether the driver's ``error`` says that the server said nothing in time."""
    return error is not None and isinstance(error.__context__, TimeoutError)


def connect(parameters: dict[str, Any], commit_least_s: float) -> PatientConnection:
    """Open a connection with the driver's ``parameters``; raises its errors."""
    connection = PatientConnection(**parameters)
    connection.commit_least_s = commit_least_s
    return connection
