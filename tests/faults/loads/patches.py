"""Users who change their profile: one event, one outbox row and one task each."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import urllib3

from config.clock import monotonic
from tests.faults.loads.load import Seen
from tests.servers.phone import Phone
from tests.servers.process import wait_until

if TYPE_CHECKING:
    from tests.faults.ground import Ground
    from tests.servers.http import Answer

NUMBERS = itertools.count(1)


def seen_of(answer: Answer, start: float) -> Seen:
    """Return what a load keeps of an answer."""
    wait = "Retry-After" in answer.headers
    reason = "" if answer.status == 200 else str(answer.json.get("reason", ""))
    return Seen(answer.status, reason, monotonic() - start, start, wait)


def unanswered(error: Exception, start: float) -> Seen:
    """Return what a load keeps of a request without an answer."""
    return Seen(0, type(error).__name__, monotonic() - start, start)


class Patches:
    """`PATCH /me` under a request id of our own, so that each can be found again."""

    def __init__(self, ground: Ground, users: int = 4) -> None:
        self._ledger = ground.ledger
        self.phones = [logged_in(ground) for _ in range(users)]
        for phone in self.phones:
            write_first(phone)

    def __call__(self, thread: int) -> Seen:
        """Change one user's nickname."""
        phone = self.phones[thread % len(self.phones)]
        request_id, start = f"dr-{next(NUMBERS):07d}", monotonic()
        try:
            answer = phone.api(
                "PATCH",
                "/me",
                token=phone.data["access_token"],
                body={"nickname": f"name {request_id}"},
                headers={"X-Request-Id": request_id},
            )
        except urllib3.exceptions.HTTPError as error:
            self._ledger.add("patch", [request_id], phone.user_id, unknown=True)
            return unanswered(error, start)
        if answer.status == 401:
            # A soak outlives an access token.
            phone.renew()
        unknown = answer.status >= 500
        if answer.status == 200 or unknown:
            self._ledger.add("patch", [request_id], phone.user_id, unknown=unknown)
        return seen_of(answer, start)


def write_first(phone: Phone) -> None:
    """Change the profile once, unjudged: a process is slow at its very first write."""
    wait_until(
        lambda: phone.rename("first").status == 200, within_s=60, what="a first write"
    )


def logged_in(ground: Ground) -> Phone:
    """Return a phone that has logged in; its login is in the ledger."""
    phone = Phone(ground.stack)
    answer = phone.login()
    assert answer.status == 200, answer.body
    ground.ledger.add("login", [phone.data["session_id"]], phone.user_id)
    return phone
