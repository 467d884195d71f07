"""What Flower may show of a task: ids, and nothing else a message carried in."""

from __future__ import annotations

import re
from typing import Any

# Our ids, ids of the login stream, names of jobs, and the relay's "and 199 more".
_SHOWN = re.compile(
    r"(?:[a-z]{1,3}_[0-9a-v]{26}|\d{13,}-\d+|[a-z]+(?:_[a-z]+)+)(?: and \d+ more)?"
)


def hide_arguments(task: Any) -> Any:  # noqa: ANN401 (an object of Flower)
    """Return ``task`` with ids for arguments; for Flower's ``format_task``."""
    found = _SHOWN.search(str(task.args or ""))
    task.args = found.group() if found else ""
    task.kwargs = ""
    return task
