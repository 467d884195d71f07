"""Pages of lists that are known as a whole: tables of the house, one timeline.

What grows for ever is paged by its database instead (`models/outbox_list.py`,
`models/session_list.py`).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def page_of_names(
    names: Sequence[str], cursor: str | None, limit: int
) -> tuple[Sequence[str], str | None]:
    """Return up to ``limit`` of ``names``, and the next page's cursor.

    ``cursor`` is the last name of the page before, one of ``names``.
    """
    begin = 0 if cursor is None else names.index(cursor) + 1
    page = names[begin : begin + limit]
    return page, page[-1] if begin + limit < len(names) else None


def places_in_time(times: Iterable[int]) -> list[tuple[int, int]]:
    """Return the place of each entry: its time, and its number among those of then."""
    seen: Counter[int] = Counter()
    places = []
    for at in times:
        seen[at] += 1
        places.append((at, seen[at]))
    return places
