"""One answer for each Idempotency-Key: joined while it is made, repeated afterwards.

Equal requests of one process share a flight, so they cost one connection together;
those of other processes meet the row of `models/idempotency.py`.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from config.metrics.requests import IDEMPOTENT
from config.patience import for_at_least
from models.errors import (
    Conflict,
    DatabaseUnavailable,
    KeyReused,
    KuaidaError,
    OpenDataRefused,
    Unavailable,
)
from models.idempotency import KeptAnswer, Replayed, encode_answer, recall, settle
from models.single_flight import SingleFlight

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.database import Database
    from models.idempotency import Once

# Refusals for what is so now and was not when the request was answered: the user's key
# at WeChat is another one today. The answer that was given then stands.
OF_TODAY = (Conflict, OpenDataRefused)
# For keeping an answer, however impatient its request is. What was not kept is come by
# once more, and costs nothing a second time.
KEEPING_S = 1.0


class Told(NamedTuple):
    """What a request under a key is told, and whether it is a repetition."""

    kept: KeptAnswer
    replayed: bool


class AnswerBook:
    """Answers requests under a key; ``keeps`` says which refusals are final."""

    def __init__(self, database: Database, keeps: Callable[[str], bool]) -> None:
        self._database = database
        self._keeps = keeps
        self._flights: SingleFlight[Told] = SingleFlight()

    def answer(self, once: Once, produce: Callable[[], object]) -> Told:
        """Return what ``produce`` gives, or what an equal request was given.

        Raises `KeyReused`, `Unavailable` when an equal request takes longer than this
        one's deadline or SQL is away, and whatever ``produce`` raises that is not kept.
        """
        try:
            told, led = self._flights.run(
                once.flight, lambda: self._first(once, produce)
            )
        except KeyReused:
            IDEMPOTENT.labels("refused").inc()
            raise
        except TimeoutError as error:
            raise Unavailable("an equal request still runs") from error
        if not led:
            IDEMPOTENT.labels("joined").inc()
            return Told(told.kept, replayed=True)
        IDEMPOTENT.labels("replayed" if told.replayed else "first").inc()
        return told

    def repeat(self, once: Once) -> KeptAnswer | None:
        """Return what the very token of ``once`` was answered before it ended.

        None where nothing is kept, or something for another body, or SQL is away.
        """
        with suppress(KeyReused, DatabaseUnavailable):
            kept = self._earlier(once)
            if kept is not None and kept.reason is None:
                IDEMPOTENT.labels("replayed").inc()
                return kept
        return None

    def _first(self, once: Once, produce: Callable[[], object]) -> Told:
        try:
            data = produce()
        except Replayed as replay:
            return Told(replay.kept, replayed=True)
        except KuaidaError as error:
            if self._keeps(error.reason):
                return self._settled(once, KeptAnswer(reason=error.reason))
            earlier = self._earlier(once) if isinstance(error, OF_TODAY) else None
            if earlier is None:
                raise
            return Told(earlier, replayed=True)
        if once.kept is not None:
            # These very bytes are committed; a repetition gets them too.
            return Told(once.kept, replayed=False)
        return self._settled(once, KeptAnswer(encode_answer(data)))

    def _earlier(self, once: Once) -> KeptAnswer | None:
        with self._database.read() as session:
            return recall(session, once)

    def _settled(self, once: Once, mine: KeptAnswer) -> Told:
        """Keep an answer that came after the commit; the first one stands."""
        with for_at_least(KEEPING_S):
            kept = self._database.transact(
                lambda work: settle(work.session, once, mine)
            )
        return Told(kept, replayed=kept is not mine)
