"""Read the Procfile: one ``name: command`` a line, in starting order."""

from __future__ import annotations

import re
from pathlib import Path

LINE = re.compile(r"^([a-z][a-z0-9_-]*):\s*(\S.*)$")


def read_procfile(path: Path) -> dict[str, str]:
    """Return name and command of every process; raises ValueError with the line."""
    commands: dict[str, str] = {}
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        match = LINE.match(line)
        if match is None or match[1] in commands:
            raise ValueError(f"{path.name} line {number} is not `name: command`")
        commands[match[1]] = match[2]
    return commands
