"""Result files of operations, unsealed piece by piece for their owner."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from models.errors import NotFound, Unavailable
from models.operation_files import find_piece, piece_owner
from models.operations import find_user_view
from models.sealing import sealer_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from config.secrets import SecretSettings
    from models.database import Database
    from web.services.caller import Claims


class FileFacts(msgspec.Struct, frozen=True):
    """What an operation's result says of its file; ``sha256`` is of all its bytes."""

    name: str
    bytes: int
    sha256: str
    content_type: str
    path: str
    expires_at: int


class ResultFile(NamedTuple):
    """A file that is there; its pieces are read as they are asked for."""

    facts: FileFacts
    pieces: Iterator[bytes]


class ResultFiles:
    """The files of this installation; any host can serve each of them."""

    def __init__(self, secrets: SecretSettings, database: Database) -> None:
        self._sealer = sealer_for(secrets, "export")
        self._database = database

    def open(self, claims: Claims, operation_id: str) -> ResultFile:
        """Return the caller's file.

        Raises `NotFound` when there is none, when it is another's, and when its time
        is over. The first piece is read here, so that a database that is away is
        told as such; no connection is held between the pieces.
        """
        facts = self._facts(claims, operation_id)
        first = None if facts is None else self._piece(operation_id, 0)
        if facts is None or first is None:
            raise NotFound
        return ResultFile(facts, self._pieces(operation_id, first, facts.bytes))

    def _facts(self, claims: Claims, operation_id: str) -> FileFacts | None:
        with self._database.read() as session:
            view = find_user_view(session, operation_id, claims.user_id)
        if view is None or view.state != "succeeded" or not view.result:
            return None
        described = view.result.get("file")
        return described and msgspec.convert(described, FileFacts)

    def _pieces(self, operation_id: str, first: bytes, size: int) -> Iterator[bytes]:
        piece: bytes | None = first
        part, sent = 0, 0
        while piece is not None:
            sent, part = sent + len(piece), part + 1
            yield piece
            if sent >= size:
                return
            piece = self._piece(operation_id, part)
        # Its time ended meanwhile: the client must not take a part for the whole.
        raise Unavailable("the file went away while it was sent")

    def _piece(self, operation_id: str, part: int) -> bytes | None:
        with self._database.read() as session:
            sealed = find_piece(session, operation_id, part)
        if sealed is None:
            return None
        return self._sealer.unseal(sealed, piece_owner(operation_id, part))
