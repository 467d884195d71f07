"""Users who log in: each login is one history row and one count, however it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import urllib3

from config.clock import monotonic
from tests.faults.loads.load import Seen
from tests.faults.loads.patches import seen_of, unanswered
from tests.servers.phone import Phone

if TYPE_CHECKING:
    from tests.faults.ground import Ground


class Logins:
    """`POST /auth/login` with a fresh code; asking the simulator is not timed."""

    def __init__(self, ground: Ground, users: int = 4) -> None:
        self._ledger = ground.ledger
        self.phones = [Phone(ground.stack) for _ in range(users)]

    def __call__(self, thread: int) -> Seen:
        """Log one user in."""
        phone = self.phones[thread % len(self.phones)]
        code, start = phone.code(), monotonic()
        try:
            answer = phone.login(code)
        except urllib3.exceptions.HTTPError as error:
            return unanswered(error, start)
        if answer.status == 200:
            self._ledger.add("login", [phone.data["session_id"]], phone.user_id)
        return seen_of(answer, start)
