"""The file of one export: cut into pieces, each sealed and written by its attempt."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from config.clock import DAY_MS
from models.operation_files import piece_owner, write_pieces
from models.sealing import sealer_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from models.database import UnitOfWork
    from tasks.work import Work

# Sealing adds 29 bytes; together a piece stays below 48 kB.
PIECE_BYTES = 48_000
CONTENT_TYPE = "application/json"


class ExportFile:
    """The file of one attempt: cut into pieces, sealed, written in its steps."""

    def __init__(self, work: Work, now: int) -> None:
        settings = work.resources.settings
        self._work = work
        self._operation_id = work.subject_id
        self._sealer = sealer_for(settings.secrets, "export")
        self._day = datetime.fromtimestamp(now / 1000, UTC).strftime("%Y%m%d")
        self._expires_at = now + settings.operations.export_days * DAY_MS
        self._rest = bytearray()
        self._parts = 0
        self._bytes = 0
        self._hash = hashlib.sha256()

    def add(self, text: str) -> None:
        """Append text to the file."""
        self._rest += text.encode()

    def save(self) -> None:
        """Write the pieces that are full, if this attempt still owns its row."""
        if len(self._rest) >= PIECE_BYTES:
            with self._work.step() as uow:
                self._write(uow, last=False)

    def finish(self, uow: UnitOfWork) -> None:
        """Write what is left, in the effect."""
        self._write(uow, last=True)

    def describe(self) -> dict[str, object]:
        """Return what the operation's result says of the file."""
        return {
            "name": f"kuaida-export-{self._day}.json",
            "bytes": self._bytes,
            "sha256": self._hash.hexdigest(),
            "content_type": CONTENT_TYPE,
            "path": f"/api/v1/operations/{self._operation_id}/file",
            "expires_at": self._expires_at,
        }

    def _write(self, uow: UnitOfWork, *, last: bool) -> None:
        sealed = [self._seal(piece) for piece in self._take(last=last)]
        first = self._parts - len(sealed)
        write_pieces(uow.session, self._operation_id, first, sealed, self._expires_at)

    def _take(self, *, last: bool) -> Iterator[bytes]:
        while len(self._rest) >= PIECE_BYTES or (last and self._rest):
            piece = bytes(self._rest[:PIECE_BYTES])
            del self._rest[:PIECE_BYTES]
            yield piece

    def _seal(self, piece: bytes) -> bytes:
        owner = piece_owner(self._operation_id, self._parts)
        self._parts += 1
        self._bytes += len(piece)
        self._hash.update(piece)
        return self._sealer.seal(piece, owner)
