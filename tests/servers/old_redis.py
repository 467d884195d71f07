"""A private Redis that can be set back in time: killed, started from older files."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from tests.servers.redis_server import RedisServer

if TYPE_CHECKING:
    from pathlib import Path


class OldRedis(RedisServer):
    """A Redis that writes every command down before it answers."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, appendonly="yes", appendfsync="always")
        self.copy = folder.parent / "older"

    def keep(self) -> None:
        """Copy its files as they are now."""
        shutil.copytree(self.folder, self.copy)

    def set_back(self) -> None:
        """Kill it, and start it from the files that were kept."""
        self.process.kill()
        shutil.rmtree(self.folder)
        shutil.copytree(self.copy, self.folder)
        self.start()

    def restart(self) -> None:
        """Kill it, and start it from its own files."""
        self.process.kill()
        self.start()
