"""A small disk of its own for a part of the system, to be filled and freed.

A tmpfs where we may mount one. Elsewhere there is none, and the drill says so.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

CHUNK = 64 * 1024


class SmallDisk:
    """``megabytes`` of memory mounted at ``folder``."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        self.folder = folder
        self._megabytes = megabytes
        self._ballast = folder / "ballast"

    def mount(self) -> bool:
        """Mount it; False where that is not allowed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        options = f"size={self._megabytes}m"
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.folder)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def fill(self) -> None:
        """Leave no room for another byte."""
        # In small pieces, so that what is left is smaller than anybody needs.
        with self._ballast.open("ab", buffering=0) as file:
            for size in (CHUNK, 4096, 512, 1):
                try:
                    while file.write(b"\0" * size):
                        pass
                except OSError:
                    continue

    def free(self) -> None:
        """Give the room back."""
        self._ballast.unlink(missing_ok=True)

    def unmount(self) -> None:
        """Take it away, whoever still holds a file of it."""
        command = ["umount", "--lazy", str(self.folder)]
        subprocess.run(command, capture_output=True, check=False)


def room(folder: Path) -> int:
    """Return the free bytes of the disk that ``folder`` is on."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
