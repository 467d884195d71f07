"""Print `.env.example` from the settings, so that the two are one list."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic.fields import FieldInfo

from config.settings import GROUPS

WIDTH = 86
HEAD = """\
# Every setting of Kuaida with its default. Copy to .env, keep what you change.
# Real environment variables win over .env; NAME_FILE=/path names a file that holds
# the value of NAME. Secrets are made in VAR_DIR/secrets at first start.

# dev, test or production; production refuses samples, SQLite and open doors.
# KUAIDA_ENV=dev
# Folder of data, logs, secrets and process ids.
# VAR_DIR=var
"""


@dataclass(frozen=True)
class Sample:
    """One setting as the sample shows it."""

    name: str
    words: str
    value: str

    def __str__(self) -> str:
        words = textwrap.wrap(self.words, WIDTH, break_on_hyphens=False)
        return "\n".join(
            [*(f"# {line}" for line in words), f"# {self.name}={self.value}"]
        )


def render() -> str:
    """Return the whole file."""
    parts = [HEAD]
    for name, kind in GROUPS.items():
        doc = (kind.__doc__ or "").strip().splitlines()[0]
        parts.append(f"\n# --- {name}: {doc}\n")
        parts.extend(f"{sample}\n" for sample in _samples(kind.model_fields))
    return "".join(parts)


def _samples(fields: dict[str, FieldInfo]) -> Iterator[Sample]:
    for field in fields.values():
        yield Sample(str(field.alias), field.description or "", _shown(field))


def _shown(field: FieldInfo) -> str:
    """Return a default as it would be written; what depends on others stays empty.

    The `__str__` of a structured value is the text that its setting reads.
    """
    if field.is_required():
        return ""
    value = field.get_default(call_default_factory=True)
    if value is None:
        return ""
    if isinstance(value, dict):
        return json.dumps(value, default=str)
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


if __name__ == "__main__":
    sys.stdout.write(render())
