"""The Lua scripts beside this file, each with a header: keys, arguments, answer."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "lua"
# A script that begins with this line gets the named files put before it.
SHARED = "-- WITH "


@dataclass(frozen=True, slots=True)
class Script:
    """A script's text and the hash Redis knows it by."""

    source: str
    sha1: str


def load_script(name: str) -> Script:
    """Return the script in ``lua/<name>.lua``."""
    source = (FOLDER / f"{name}.lua").read_text("utf-8")
    if source.startswith(SHARED):
        parts = source.split("\n", 1)[0].removeprefix(SHARED).split()
        texts = [(FOLDER / f"{part}.lua").read_text("utf-8") for part in parts]
        source = "".join(texts) + source
    # Not security: EVALSHA names scripts by SHA-1.
    return Script(
        source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
    )
