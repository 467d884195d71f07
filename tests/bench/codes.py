"""Real login codes for the load: minted by the simulator before each run.

The simulator's rules hold for them as for any other: once, within five minutes.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from tests.servers.http import call
from tests.servers.process import ServerError
from tests.servers.wechat import WeChatControl

if TYPE_CHECKING:
    from pathlib import Path

# WeChat takes 100 logins a minute of one user: enough users to stay below it.
USERS = 2000


class Mint:
    """Asks one simulator for codes; users are made on first use."""

    def __init__(self, simulator: str, folder: Path) -> None:
        self.simulator = simulator
        self.folder = folder
        self._numbers = itertools.count(1)
        self._users: set[str] = set()

    def codes(self, count: int) -> list[str]:
        """Return ``count`` or more fresh login codes, the users in turn."""
        each = -(-count // USERS)
        users = [self._user(n) for n in range(USERS)]
        by_user = [self._ask("codes", {"openid": u, "count": each}) for u in users]
        return [code for turn in zip(*by_user, strict=True) for code in turn][:count]

    def _user(self, number: int) -> str:
        openid = f"bench-{number}"
        if openid not in self._users:
            self._ask("users", {"openid": openid})
            self._users.add(openid)
        return openid

    def _ask(self, path: str, body: dict[str, Any]) -> list[str]:
        answer = call("POST", f"{self.simulator}/_sim/{path}", body=body)
        if answer.status != 200:
            raise ServerError(answer.body.decode())
        codes: list[str] = answer.json.get("codes", [])
        return codes

    def file(self, count: int) -> Path:
        """Write fresh codes to a new file, one a line."""
        path = self.folder / f"codes-{next(self._numbers)}.txt"
        path.write_text("\n".join(self.codes(count)) + "\n")
        return path

    def delay(self, milliseconds: int) -> None:
        """Make WeChat take ``milliseconds`` for each login, 0 for at once."""
        control = WeChatControl(self.simulator)
        control.heal()
        if milliseconds:
            control.fault("/sns/jscode2session", "delay", delay_ms=milliseconds)
